/* Calls that change what pages are (pages.c): what is due around one that comes by number (raw.c), as around its named wrapper. */
#ifndef CGC_PRELOAD_PAGES_H
#define CGC_PRELOAD_PAGES_H

#include "base/bits.h"

enum {
	PAGES_GUARD = 102,    /* MADV_GUARD_INSTALL, Linux 6.13 */
	PAGES_WIPEONFORK = 18
};

/* a: the arguments as the kernel gets them. */
bool pages_change(long number, const long *a); /* false: it changes no page of anybody's */
void pages_leave(long number, const long *a);
void pages_left(long number, const long *a, long r);

#endif
