/*
 * Thread caches and the two fast paths. The hot code of cgc stands on this page together with what it calls.
 *
 *            alloc list (bytes allocated)                freed list (bytes 0)
 *   malloc ◀── pop ── slot ▸ slot ▸ slot      free ── push ──▶ slot ▸ slot ▸ slot
 *                 ▲                                               │
 *                 └───────────── refill, flush (busy) ◀───────────┘
 *
 *   malloc ─▶ heap_malloc_slow ─▶ refill ─▶ freed list | span_hand_out (free, recycled, fresh slots) | inbox | abandoned | arena
 *   free   ─▶ heap_free_slow   ─▶ flush | remote free | large_free | misuse | evidence
 *
 * A slot on an alloc list is `struct slot`: the link, and key ^ state byte's address, by which a stale free of it is caught. malloc
 * clears both words with one store, so no stale link becomes a false edge, and touches no state byte.
 */
#ifndef CGC_HEAP_CACHE_H
#define CGC_HEAP_CACHE_H

#include "heap/classes.h"
#include "heap/heap.h"
#include "heap/self.h"

struct bin {
	struct slot *alloc;   /* owner pops; refill fills; the collector reads inside a stop */
	struct slot *freed;   /* owner pushes */
	int32_t room;         /* frees left until flush */
	uint32_t avail, full; /* owner's spans of this class: with free slots known, and without; indices */
	uint32_t look;        /* where look_around goes on in `full` */
};

/* Type-stable, in side memory, never unmapped, reused by later threads. */
struct cache {
	struct bin bins[CLASSES];
	uint32_t inbox;       /* atomic: spans with remote frees or recycled slots, by index; others push, the owner takes all */
	int64_t growth;       /* owner: bytes handed out minus received back, not yet published */
	uint64_t refills;     /* owner */
	bool live;            /* under caches lock: belongs to a thread */
	bool pressure;        /* owner: tell heap_hooks.pressure after busy */
	uint8_t young;        /* owner: so many refills are small ones, in a child of fork: each page that they write to is copied */
	uint8_t few[CLASSES]; /* owner: so many blocks of the class may still come from its stand-in */
	struct slot *stash[CLASSES]; /* like the alloc lists, for the slow path alone: slots that are recorded (recorded.c) */
	int64_t sample_left;  /* owner: bytes to the next sample; 0: not drawn yet */
	uint64_t sample_seed; /* owner */
	struct delay *delay;  /* owner: harden=1, freed slots that wait (harden.c); NULL none yet */
	struct self *self;    /* the owner's; read in a forked child to see whether it was busy */
	int tid;              /* the owner's */
	uint32_t lent;        /* atomic: another thread has it, or had it (idle.c); 0: neither */
	int64_t taken;        /* bytes that it took out of the freed lists, which `room` still counts */
	uint64_t emptied;     /* by a looker: classes from which it took all it can, as bits */
	uint16_t seen[CLASSES]; /* by a looker: what the bins looked like */
	struct cache *next;   /* list of all caches; atomic, only ever grows at the head */
};

extern struct cache empty_cache; /* no thread's own: every list empty, so both fast paths fall through */
extern struct lock caches_lock;  /* RANK_CACHES: list of caches, abandoned spans */

void *heap_malloc_slow(size_t size, const void *caller);
void heap_free_slow(void *p, const void *caller);

typedef uint64_t slot_words __attribute__((vector_size(16), may_alias));

/* A slot says that its contents are zero, in a word that the program may have written to since. Is that so? */
bool cache_is_zero(const struct slot *s);

/* Pops the first slot of class k's alloc list; NULL: the list is empty, or its first link was overwritten (cache_at_hand). *zero: contents
 * were zero already. */
static inline void *cache_pop(unsigned k, bool *zero)
{
	struct bin *b = &self.cache->bins[k];
	struct slot *s = b->alloc;
	if (UNLIKELY((uintptr_t)s - arena.base >= load_folded(&arena.limit)))
		return NULL;
	b->alloc = s->next;
	if (zero)
		*zero = UNLIKELY((intptr_t)(s->key * arena.inverse) < 0) && cache_is_zero(s);
	*(slot_words *)s = (slot_words){ 0, 0 }; /* both words by one store */
	return s;
}

/* To be inlined into the function that the program calls: its return address is the caller. `slow` is called last. */
static inline __attribute__((always_inline)) void *heap_malloc_or(size_t size, void *(*slow)(size_t, const void *))
{
	if (LIKELY(size < TABLE_MAX)) {
		void *p = cache_pop(class_table[size >> 4], NULL);
		if (LIKELY(p != NULL))
			return p;
	}
	return slow(size, __builtin_return_address(0));
}
static inline __attribute__((always_inline)) void *heap_malloc_fast(size_t size) { return heap_malloc_or(size, heap_malloc_slow); }

static inline __attribute__((always_inline)) void heap_free_fast(void *p)
{
	uintptr_t a = (uintptr_t)p;
	uintptr_t offset = a - arena.base;
	if (LIKELY(offset < load_folded(&arena.limit))) {
		struct span *s = &arena.spans[load_acquire(&arena.page_map[offset >> PAGE_SHIFT])];
		struct cache *c = self.cache;
		if (LIKELY(load_folded(&s->owner) == c)) {
			bool start;
			struct slot *slot = p;
			uint8_t *byte = &s->state[span_slot_start(s, a, &start)];
			if (LIKELY(start                                          /* not the middle of a block */
			           && state_is_allocated(load_folded(byte))              /* not free, condemned, recycled */
			           && !slot_is_cached(slot->key, byte))) {        /* not on an alloc list */
				struct bin *b = &c->bins[s->class];
				store_relaxed(byte, 0);
				slot->next = b->freed;
				slot->key = slot_key(byte);
				b->freed = slot;
				if (LIKELY(--b->room >= 0))
					return;
				p = (void *)(uintptr_t)(s->class + 1); /* freed; heap_free_slow only makes room in that bin */
			}
		}
	}
	heap_free_slow(p, __builtin_return_address(0));
}

/* -- between cache.c and span.c -- */

/* Takes up to n slots out of s (which the calling thread owns, busy), stamps them and links them. Result: the list, *got. */
struct slot *span_hand_out(struct span *s, uint32_t n, uint32_t *got);
/* Gives one slot with byte 0 back to its span. */
void span_take_back(struct span *s, struct slot *slot);
/* In a forked child: which slots were received back is not known any more. */
void span_forget_free(struct span *s);
/* Moves the remote list to the free list. Result: slots moved. */
uint32_t span_absorb(struct span *s);
bool span_has_slots(const struct span *s);
/* By whoever may hand out its slots, inside a stop or in a forked child. */
bool span_is_empty(struct span *s);
/* A fresh span of class k owned by c, or NULL. */
struct span *span_fresh(unsigned k, struct cache *c);
/* An empty span goes back to the arena. */
void span_release(struct span *s);
/* Remote side: byte 0 is stored already. Pushes, and tells the owner once. */
void span_push_remote(struct span *s, struct slot *slot);
/* Puts s into its owner's inbox unless it stands in one. */
void span_notify(struct span *s);

/* -- idle.c -- */
/* The owner waits until its cache is its own again: by busy_enter, after `busy` was written. */
void cache_come_home(struct cache *c);

/* -- large.c -- */
void *large_malloc(size_t size, size_t align, bool *zero);
void large_free(struct span *s, bool recycled);
/* In place, by growing the run or moving pages. NULL: the caller copies. */
void *large_realloc(struct span *s, size_t size);

/* -- accounts -- */
void heap_account(int64_t bytes);   /* publishes a thread's growth; may set pressure */

#endif
