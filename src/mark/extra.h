/* Pointers in another dress: extra.c. For the files of src/mark. */
#ifndef CGC_MARK_EXTRA_H
#define CGC_MARK_EXTRA_H

#include "mark/inside.h"

#define READS_ANYTHING __attribute__((no_sanitize_address, no_sanitize_thread))

enum { EXTRA_FACTOR = 4 }; /* edges that one word may push: itself, untagged or unmangled, and an odd one beside it, untagged */

enum { MANGLED_LOW = (1 << 17) - 1, JMP_BUF = 200 };

/* Reads the options into the marker, once a mark. */
void extra_begin(void);
/* What lies behind mangled words of [p, end). */
uintptr_t *extra_mangled(const word_t *p, const word_t *end, uintptr_t *top);
/* What the options add to the words of [p, end), at most PIECE_WORDS. Result: the new top. */
uintptr_t *extra_scan(const word_t *p, const word_t *end, uintptr_t *top);
/* align=4: the word at `at`, half of which lies in the next piece. */
uintptr_t *extra_seam(const void *at, uintptr_t *top);

#endif
