/* Blocks that are no leaks: a bit beside their site. */
#ifndef CGC_HEAP_IGNORED_H
#define CGC_HEAP_IGNORED_H

#include "heap/self.h"

/* Of an entry of a side table of sites (heap/sites.h): whoever records the next block of the slot writes it anew, so free has nothing to do. */
#define IGNORED_BIT (1u << 31)

extern bool ignored_any; /* atomic: an entry has the bit */

/* The entry to be written for a block that the calling thread just allocated. */
static inline uint32_t ignored_mark(uint32_t site)
{
	if (LIKELY(!self.ignoring))
		return site;
	store_relaxed(&ignored_any, true);
	return site | IGNORED_BIT;
}

/* The block that holds `address`, and what it reaches, is no leak until it is freed. false: there is no block, or nothing is recorded. */
bool ignored_add(uintptr_t address);
/* Inside a stop: gives the start of each such block to fn. Result: their number. */
size_t ignored_each(void (*fn)(uintptr_t word));

#endif
