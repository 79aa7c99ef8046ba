/* What heap.c asks of cache.c outside the fast paths. Inside src/heap only; all run busy. */
#ifndef CGC_HEAP_CACHE_SLOW_H
#define CGC_HEAP_CACHE_SLOW_H

#include "heap/cache.h"

enum { BATCH_MOST = 256 };

struct cache *cache_own(void);
void cache_flush(struct cache *c, unsigned k, uint32_t keep);
bool cache_refill(struct cache *c, unsigned k);
size_t cache_live(void);
void cache_fork_child(void);
void cache_reclaim(void);
void cache_stress(struct cache *c);

void span_fork_child(void);

#endif
