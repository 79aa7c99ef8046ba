/* The slow side of caches: what heap.c, cache.c, lists.c and stopped.c ask of each other. Inside src/heap only; all run busy, inside
 * a stop or in a forked child. */
#ifndef CGC_HEAP_CACHE_SLOW_H
#define CGC_HEAP_CACHE_SLOW_H

#include "heap/cache.h"

enum { BATCH_MOST = 256 };

extern struct cache *cache_all;              /* atomic head; all caches ever made */

/* -- lists.c -- */
/* avail and full belong to a bin; ready and dormant hold abandoned spans with and without known free slots. */
enum { LIST_NONE, LIST_AVAIL, LIST_FULL, LIST_READY, LIST_DORMANT };
extern uint32_t cache_ready[CLASSES], cache_dormant[CLASSES]; /* under caches_lock; `ready` is peeked at without it */
void span_list_add(struct span *s, struct cache *c, uint32_t list);
void span_list_remove(struct span *s, struct cache *c);
void span_list_move(struct span *s, struct cache *c, uint32_t list);
/* An abandoned span, in no list yet. */
void span_list_abandon(struct span *s);

/* -- cache.c -- */
/* Adds to the live bytes of the process; true: growth has passed the watched mark. */
bool cache_publish(int64_t bytes);
/* Empties all lists of every bin into the spans, and abandons the spans. `c` is the calling thread's, or that of a thread that
 * is gone. Takes caches_lock. */
void cache_abandon(struct cache *c);

/* Empties all lists of the calling thread's cache into the spans; empty spans go back to the arena. */
void cache_trim(struct cache *c);

/* Is there a slot of class k at hand? A list whose first slot is none, because a stale store changed the link that led to it, is told as misuse
 * and dropped. */
bool cache_believed(struct cache *c, unsigned k);
static inline bool cache_at_hand(struct cache *c, unsigned k) { return UNLIKELY(c->bins[k].alloc || c->stash[k]) && cache_believed(c, k); }
/* -- idle.c -- */
/* Gives back what idle threads hold; all: what all hold that run no slow path. No lock of the heap is held. */
void cache_take_idle(bool all);
/* The same, if the heap has grown enough since the last time. */
void cache_look_at_idle(void);
void cache_idle_fork_child(void);
/* In a forked child: another thread had c at the fork, which cut it off. */
bool cache_is_torn(struct cache *c);

/* Spans that others put into the inbox: their remote slots are absorbed, and they become avail. */
bool cache_inbox_drain(struct cache *c);
uint32_t cache_count_freed(const struct bin *b);
/* All of class k's freed list but its first slot goes back to the spans. Result: how many slots. */
uint32_t cache_take_freed(struct cache *c, unsigned k);
/* One slot with byte 0 goes back to its span. */
void cache_give_back(struct cache *c, struct slot *slot);
struct cache *cache_own(void);
void cache_flush(struct cache *c, unsigned k, uint32_t keep);
bool cache_refill(struct cache *c, unsigned k);
size_t cache_live(void);
void cache_fork_child(void);
void cache_reclaim(void);
void cache_reclaim_span(struct span *s); /* this one, if it is abandoned */
/* An abandoned span got slots: adopters find it from now on. Takes caches_lock, so the caller holds neither that nor a higher
 * one; whoever is abandoning or adopting the span at the moment holds it, and has not decided yet where it goes. */
void cache_promote(struct span *s);
bool span_is_ready(const struct span *s); /* a peek, for the one above: adopters find it already */
void cache_stress(struct cache *c);
bool cache_stressed(void);

void span_fork_child(void);
/* State bytes of a small span, and how many. At any time, also while it goes away: they stay, and are none or those of its class. */
uint8_t *span_peek_bytes(const struct span *s, uint32_t *slots);

/* -- heap.c -- */
/* A child of fork, before heap_fork_child has made the heap its own. */
bool heap_is_copy(void);
/* Counts a wrong use of the heap and tells the hook, which may not return. */
void heap_misuse(const char *what, const char *call, const void *p, size_t block);

#endif
