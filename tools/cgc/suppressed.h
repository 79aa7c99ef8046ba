/*
 * Suppressions in the command, after names are known: files that the user gives, beside what the library left out by itself.
 * The rules are those of base/suppress.h; here they match demangled names, inlined functions and source files too.
 */
#ifndef CGC_TOOLS_SUPPRESSED_H
#define CGC_TOOLS_SUPPRESSED_H

#include "arguments.h"
#include "view.h"

#include "base/suppress.h"

#include <stdio.h>

struct suppressions {
	struct suppression_file {
		const char *name;        /* "--only" for what stood on the command line */
		struct suppress rules;
		size_t *sites;           /* by rule: how many it left out */
	} *files;
	size_t count;
};

/* Reads files and the patterns of --only. false: a file can't be read or has a bad line; each was told, the exit status is 2. */
bool suppressions_read(struct suppressions *s, const struct texts *files, const struct texts *only);
/* Marks the sites that a rule matches. Their frames must be there. */
void suppressions_apply(const struct suppressions *s, struct view *v, const struct choice *c);
/* A rule for every site that is listed: a block that valgrind takes, too, or a line that LeakSanitizer does. */
void suppressions_generate(FILE *to, const struct view *v, const struct choice *c, bool lines);

#endif
