/* How a program may have hidden a pointer: a search for transformed forms of a block's address. Inside src/cycle only. */
#ifndef CGC_CYCLE_HIDDEN_H
#define CGC_CYCLE_HIDDEN_H

#include "base/bits.h"

/* From the form that is least likely to be there by chance to the one that is most likely: the first one found is told. */
enum hidden {
	HIDDEN_COMPLEMENT, HIDDEN_NEGATED, HIDDEN_SWAPPED, HIDDEN_TAGGED, HIDDEN_DIGITS, HIDDEN_ROTATED, HIDDEN_UNALIGNED,
	HIDDEN_SHIFTED, HIDDEN_XOR_BESIDE, HIDDEN_XOR_PLACE,
	HIDDEN_BASE64, HIDDEN_HEX, HIDDEN_DECIMAL, HIDDEN_COMPRESSED, HIDDEN_XOR_LIST, HIDDEN_RELATIVE, HIDDEN_BEFORE,
	HIDDEN_PAST,
	HIDDEN_NOWHERE,  /* no form in memory: the kernel, a file or another process had it, or a form that is not known here */
	HIDDEN_UNSOUGHT  /* no stop was to be had for the search */
};

struct trace {
	enum hidden how;
	unsigned detail;  /* bits of a shift or rotation, the tag, bytes before or past */
};

/* Inside a stop, on the collector's stack: looks for [p, p + block) in all roots and all blocks but itself. */
void hidden_look(uintptr_t p, size_t block, struct trace *trace);
/* The guess in words, without "likely". Result: buf. */
const char *hidden_text(char *buf, size_t cap, const struct trace *trace);

#endif
