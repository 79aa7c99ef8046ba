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
/* A dormant span got slots: adopters find it from now on. Takes caches_lock, so the caller holds neither that nor a higher
 * one. */
void cache_promote(struct span *s);
bool span_is_dormant(const struct span *s); /* a peek, for the one above */
void cache_stress(struct cache *c);

void span_fork_child(void);

#endif
