/* Pointers in another dress: extra.c. For the files of src/mark. */
#ifndef CGC_MARK_EXTRA_H
#define CGC_MARK_EXTRA_H

#include "mark/inside.h"

#define READS_ANYTHING __attribute__((no_sanitize_address, no_sanitize_thread))

/* Edges that one word may push: itself, unmangled, an odd one beside it, and two integers; with tags each of the first three without its own,
 * too, one that lies before a block, and up to seven odd ones. */
enum { PLAIN_FACTOR = 5, EXTRA_FACTOR = 14 };

enum { MANGLED_LOW = (1 << 17) - 1, JMP_BUF = 200 };

/* Reads the options into the marker, once a mark, when the window is known. */
void extra_begin(void);
/* What lies behind mangled words of [p, end). */
uintptr_t *extra_mangled(const word_t *p, const word_t *end, uintptr_t *top);
/* What the words of [p, end) lead to as integers of a language. */
uintptr_t *extra_integers(const word_t *p, const word_t *end, uintptr_t *top);
/* Odd words (at 4 modulo 8) of [p, end) that lead into the arena. */
uintptr_t *extra_odd(const word_t *p, const word_t *end, uintptr_t *top);
/* What the options add to the words of [p, end), at most PIECE_WORDS. Result: the new top. */
uintptr_t *extra_scan(const word_t *p, const word_t *end, uintptr_t *top);
/* The word at `at`, anywhere, part of which lies in the next piece or range. */
uintptr_t *extra_seam(const void *at, uintptr_t *top);

#endif
