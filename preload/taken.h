/* Around calls that take the memory of an alternate signal stack away. */
#ifndef CGC_PRELOAD_TAKEN_H
#define CGC_PRELOAD_TAKEN_H

#include "base/bits.h"
#include <stddef.h>

/* a: the arguments as the kernel gets them. Result: what end is told. errno stays. */
bool taken_begin(long number, const long *a);
void taken_end(long number, const long *a, bool held);
enum { TAKEN_DLCLOSE = -1 }; /* a number */

/* Pages are about to get a protection key; and whether some ever did. */
void taken_keyed(uintptr_t at, size_t size);
extern uint32_t taken_keys; /* atomic */

#endif
