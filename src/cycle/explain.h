/* explain=1: which block an address of a fault belongs to, and what the collector did to it. */
#ifndef CGC_CYCLE_EXPLAIN_H
#define CGC_CYCLE_EXPLAIN_H

#include "mark/mark.h"

enum explain_event { EXPLAIN_CONDEMNED = 1, EXPLAIN_RECYCLED = 2 };

/* Before the first cycle. false: no memory, cycles and sites stay unknown. */
bool explain_start(void);
/* By the verdict, after its CAS. */
void explain_note(const struct dead_span *d, uint32_t slot, enum explain_event event);

/* One line about a fault of the program at `address`; context is what its handler got. Async-signal-safe. */
void explain_fault(const char *signal_name, uintptr_t address, const void *context);

#endif
