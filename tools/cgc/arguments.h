/* The options of one command: a table that reads them, and that --help, the man page and completion are checked against. */
#ifndef CGC_TOOLS_ARGUMENTS_H
#define CGC_TOOLS_ARGUMENTS_H

#include "base/bits.h"

enum argument_kind {
	ARGUMENT_SWITCH,    /* bool */
	ARGUMENT_TEXT,      /* const char * */
	ARGUMENT_TEXTS,     /* struct texts: may be given several times */
	ARGUMENT_NUMBER,    /* size_t */
	ARGUMENT_TIME,      /* uint64_t, nanoseconds: 90, 90s, 10m, 2h, 1d */
	ARGUMENT_CHOICE     /* unsigned: place in choices */
};
struct texts { const char **list; size_t count; };

struct argument {
	const char *name;      /* without dashes */
	enum argument_kind kind;
	void *to;
	const char *choices;   /* joined by '|'; else what a value is called in the help: "FILE" */
	const char *help;      /* one line */
};

/* Reads argv[1..argc) by the table of n; options and names may stand in any order, "--" ends options, a value follows "=" or stands in the
 * next argument. Result: how many names there are, moved to argv[1..]; -1 after one line of complaint; -2 after --help, which prints usage,
 * options and `more`. */
int arguments_read(const struct argument *table, size_t n, int argc, char **argv, const char *usage, const char *more);

#endif
