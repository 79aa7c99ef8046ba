/* What `leaks`, `show`, `why`, `diff` and the report of `cgc run` do alike. */
#ifndef CGC_TOOLS_LEAKS_H
#define CGC_TOOLS_LEAKS_H

#include "arguments.h"
#include "formats/formats.h"
#include "symbols/symbols.h"

/* Everything that can be said about a report on the command line. */
struct leaks_request {
	struct choice choice;
	struct symbol_choice symbols;
	struct texts suppressions, only;
	unsigned format;
	bool limit_given, whole_stacks;
};

/* Merges and names the snapshots, applies suppressions. 0, or the exit status after one line. */
int leaks_view(struct view *v, struct view_source *sources, size_t count, const struct leaks_request *r, const struct suppressions *s);
void leaks_write(FILE *to, const struct view *v, const struct leaks_request *r, const struct suppressions *s);
/* What a person should know before reading numbers, on standard error: kinds unknown, memory ran out. */
void leaks_caution(const struct view *v);
/* Colours: on a terminal that is not dumb, without NO_COLOR. */
bool leaks_colour(FILE *to);

#endif
