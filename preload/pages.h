/* Calls that change what pages are (pages.c): what is due around one that comes by number (raw.c), as around its named wrapper. */
#ifndef CGC_PRELOAD_PAGES_H
#define CGC_PRELOAD_PAGES_H

#include "base/bits.h"
#include <stddef.h>

enum {
	PAGES_GUARD = 102,    /* MADV_GUARD_INSTALL, Linux 6.13 */
	PAGES_WIPEONFORK = 18
};

/* a: the arguments as the kernel gets them; r: what it answered; due: what leave said. errno stays. */
unsigned pages_leave(long number, const long *a);
void pages_left(long number, const long *a, long r, unsigned due);

size_t pages_of_segment(int id); /* of System V shared memory; 1: not told */

#endif
