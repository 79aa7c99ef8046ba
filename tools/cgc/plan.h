/* A command line on its way to a running program: shared by `cgc run` and `cgc audit`. */
#ifndef CGC_TOOLS_PLAN_H
#define CGC_TOOLS_PLAN_H

#include "base/options.h"
#include "program.h"

struct plan {
	struct options options;  /* what the command line asks, for the check only */
	char *list;              /* the same as text, for CGC_OPTIONS; malloc'ed */
	const char *library;     /* --library, or NULL */
	const char *report;      /* --report: file for the report of a whole run, or NULL */
	unsigned report_format;  /* --report-format: enum format */
	bool mode_named;
	bool listen_named;
	bool help;
};

/* Reads options up to the program; its index, or -1 after a complaint. */
int plan_read(struct plan *plan, int argc, char **argv);
/* Appends "name=value" to the list. false: no memory. */
bool plan_append(struct plan *plan, const char *item);
/* Finds and judges library and program, and sets the environment. 0, or the exit status with which cgc must end; one line was
 * printed. */
int plan_prepare(const struct plan *plan, const char *name, struct program *program);
/* Becomes the program. Returns an exit status, after a complaint, only when that failed. */
int plan_exec(const struct program *program, char **argv);

#endif
