/* Alternate signal stacks: which threads have them, and what becomes of one whose memory goes away. */
#ifndef CGC_PRELOAD_ALTSTACKS_H
#define CGC_PRELOAD_ALTSTACKS_H

#include "base/bits.h"

/* The calling thread has installed [low, high). true: another living thread has some of it too. Async-signal-safe. */
bool altstacks_tell(uintptr_t low, uintptr_t high);
void altstacks_drop(void); /* it has none any more */

/* [low, high) is about to be unmapped or freed: the calling thread's alternate stack must not lie there (self.altstack says that it may). */
void altstack_leaves(uintptr_t low, uintptr_t high);

#endif
