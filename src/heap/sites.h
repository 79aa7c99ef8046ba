/*
 * Who allocated a block: a u32 site a slot, in side tables that exist only in modes that report. Site 0 is "not recorded".
 * A site is a return address into the caller of malloc (or of operator new).
 */
#ifndef CGC_HEAP_SITES_H
#define CGC_HEAP_SITES_H

#include "base/bits.h"

struct span;

/* Turns recording on for the rest of the process: alloc lists hold one slot from then on, so that each malloc passes the slow
 * path, which records. false: no memory for the table. */
bool sites_start(void);
bool sites_on(void);
/* By the thread that just allocated p (busy not needed). */
void sites_record(void *p, const void *caller);
/* Site of a slot; 0 when none was recorded. */
uint32_t sites_of(const struct span *s, uint32_t slot);
uintptr_t sites_address(uint32_t site);
uint32_t sites_count(void); /* sites are 1..count */

#endif
