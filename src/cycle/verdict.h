/* Verdict: from the dead set to condemned and recycled blocks (law 7). Inside src/cycle only. */
#ifndef CGC_CYCLE_VERDICT_H
#define CGC_CYCLE_VERDICT_H

#include "mark/mark.h"

struct verdict {
	uint64_t condemned_blocks, condemned_bytes; /* newly */
	uint64_t recycled_blocks, recycled_bytes;
	uint64_t dead_blocks, dead_bytes;           /* all that the judge saw unmarked */
};

/* Outside the stop, under the collect lock, by the thread that ran the cycle. */
void verdict_apply(const struct dead_set *set, struct verdict *v);

#endif
