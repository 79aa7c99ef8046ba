/* Around calls that take the memory of an alternate signal stack away. */
#ifndef CGC_PRELOAD_TAKEN_H
#define CGC_PRELOAD_TAKEN_H

#include "base/bits.h"

/* a: the arguments as the kernel gets them. Result: what end is told. errno stays. */
bool taken_begin(long number, const long *a);
bool taken_hold(void); /* a call that takes what nobody knows beforehand */
void taken_end(bool held);

#endif
