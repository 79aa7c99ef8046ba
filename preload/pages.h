/* Calls that take pages away: what must be done before one that comes by number (raw.c), as before its named wrapper. */
#ifndef CGC_PRELOAD_PAGES_H
#define CGC_PRELOAD_PAGES_H

enum { PAGES_GUARD = 102 }; /* MADV_GUARD_INSTALL, Linux 6.13 */

/* a: the arguments as the kernel gets them. Afterwards flight_pages_changed is due. */
void pages_leave(long number, const long *a);

#endif
