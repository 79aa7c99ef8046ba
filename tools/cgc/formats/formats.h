/*
 * How a view is written. Each format shows the same sites and numbers; a test compares them.
 *
 *   text.c   for people
 *   lsan.c   LeakSanitizer's grammar, for scripts that read it
 *   json.c   everything; its schema is tools/cgc-leaks.schema.json
 */
#ifndef CGC_TOOLS_FORMATS_H
#define CGC_TOOLS_FORMATS_H

#include "suppressed.h"
#include "view.h"

#include <stdio.h>

enum format { FORMAT_TEXT, FORMAT_LSAN, FORMAT_JSON };
#define FORMAT_NAMES "text|lsan|json"

struct page {
	FILE *to;
	const struct view *view;
	struct choice choice;
	const struct suppressions *suppressions; /* NULL: none were given */
	bool whole_stacks;                       /* as text: all frames, because nobody can be asked for the rest later */
	bool colour;
};

void format_text(const struct page *p);
/* One site in full: every frame, what is known about its blocks and its growth. */
void format_text_site(const struct page *p, const struct view_site *site);
void format_lsan(const struct page *p);
void format_json(const struct page *p);
/* Frames of one site, `most` at most (0: all, with whole paths and columns), for text. Result: how many were left out. */
size_t format_text_frames(const struct page *p, const struct view_site *site, size_t most);
/* "  pid 4121  ./server", or "  3 processes  ./server". */
const char *format_who(const struct view *v);

#endif
