/* explain=1: which block an address of a fault belongs to, and what the collector did to it. */
#ifndef CGC_CYCLE_EXPLAIN_H
#define CGC_CYCLE_EXPLAIN_H

#include "mark/mark.h"

enum explain_event { EXPLAIN_CONDEMNED = 1, EXPLAIN_RECYCLED = 2 };

/* Before the first cycle. false: no memory, cycles and sites stay unknown. */
bool explain_start(void);
/* By the verdict: the block as it is before its CAS (a large one's descriptor is somebody else's afterwards), then what happened to it. */
struct explain_block {
	uintptr_t start;
	uint32_t site;
};
struct explain_block explain_block(const struct dead_span *d, uint32_t slot);
void explain_note(struct explain_block b, enum explain_event event);

/* One line about a fault of the program at `address`; known: the processor told it, else it is 0. context is what its handler got.
 * Async-signal-safe. */
void explain_fault(const char *signal_name, uintptr_t address, bool known, const void *context);

#endif
