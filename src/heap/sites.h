/*
 * Who allocated a block: a u32 site a slot, in side tables that exist in audit, in report and with sites=1. Site 0 is "not
 * recorded". A site is a return address into the caller of malloc (or of operator new).
 */
#ifndef CGC_HEAP_SITES_H
#define CGC_HEAP_SITES_H

#include "base/bits.h"

struct span;

struct site {
	uintptr_t address;                       /* set once */
	uint64_t recycled_blocks, recycled_bytes; /* atomic; the verdict adds */
	uint32_t immortal;                       /* atomic: its blocks are recycled no more (law 9) */
};

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
/* 1..count */
const struct site *sites_get(uint32_t site);

/* A block of this site was recycled. */
void sites_recycled(uint32_t site, size_t bytes);
/* In a child of fork: what was recycled before was its parent's. */
void sites_forked(void);
/* Evidence came in for a block of this site: no block of it is recycled from here on, and recycled ones that were not handed out
 * yet become allocated again (span.c). true: it is the first; false: it was so before, or the site is 0. */
bool sites_make_immortal(uint32_t site);
bool sites_immortal(uint32_t site);
bool sites_any_immortal(void);

#endif
