/* Texts that live as long as the command: names in a view come from files, tools and snapshots, and all are shown in the end. */
#ifndef CGC_TOOLS_KEEP_H
#define CGC_TOOLS_KEEP_H

#include "base/bits.h"

/* A copy of the first n bytes, ended by NUL, that the caller may change; the text of n = 0 where there is no memory. */
char *keep_text(const char *s, size_t n);
/* A copy without control characters: what a file or a tool says must not steer the terminal. */
const char *keep_clean(const char *s);

#endif
