/*
 * Names for stacks: function, inlined calls, source lines.
 *
 *   object.c   a module's file, its debug file, its symbol table
 *   tool.c     one process of llvm-symbolizer, addr2line, c++filt for a whole batch
 *   lines.c    what these tools answer
 *   symbols.c  from the snapshots' stacks to one batch, and back to frames
 */
#ifndef CGC_TOOLS_SYMBOLS_H
#define CGC_TOOLS_SYMBOLS_H

#include "object.h"
#include "view.h"

enum symbol_source { SYMBOLS_AUTO, SYMBOLS_LLVM, SYMBOLS_ADDR2LINE, SYMBOLS_TABLES };

#define SYMBOLIZER_NAMES "auto|llvm|addr2line|tables"

struct symbol_choice {
	unsigned source;           /* enum symbol_source: AUTO takes the first tool that is installed */
	bool debuginfod;
};

/* Fills frames of every site for which chosen(site, arg) holds. */
void symbols_resolve(struct view *v, bool (*chosen)(const struct view_site *site, const void *arg), const void *arg, const struct symbol_choice *how);

/* A place in the code that a process named by itself, as module+offset. */
struct place {
	const char *module;        /* path */
	uint64_t address;          /* in the file, of the call */
	const char *function, *file; /* filled in; "" unknown. Of inlined calls the innermost */
	unsigned line;
};
/* The modules are those of the view's snapshots; places elsewhere stay without a name. */
void symbols_name(struct view *v, struct place *places, size_t count, const struct symbol_choice *how);

/* ---- between the files of this folder ---- */

struct call { const char *function, *file; unsigned line, column; };
/* One address of an object and, after the batch, the calls at it: inlined ones first, the function that really is there last. */
struct code {
	struct object *object;     /* NULL: in no module */
	uint64_t address;          /* in the file */
	const char *symbol;        /* mangled: what the snapshot knew, then what the tables know; "" nothing */
	uint64_t offset;           /* from its start */
	struct call *calls;
	size_t call_count;
};
/* Asks the tools about all codes, sorted by object. Those that they can't name keep call_count 0. */
void lines_ask(struct code *codes, size_t count, unsigned source);
/* Replaces mangled names by what they mean. */
void lines_demangle(struct code *codes, size_t count);

#endif
