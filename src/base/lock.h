/*
 * Locks: one futex word, no allocation, usable before libc is ready, inside fork handlers and on any stack.
 *
 * word: 0 free, 1 held, 2 held and somebody sleeps. Every lock has a rank; a thread takes locks in rising rank only
 * (the list is in src/README.md), and debug builds assert it. A lock is never held while a thread parks: slow paths that
 * take locks are `busy` (heap/self.h), and the stop handler waits for them to leave.
 */
#ifndef CGC_BASE_LOCK_H
#define CGC_BASE_LOCK_H

#include "base/bits.h"

enum lock_rank {
	RANK_COLLECT = 1, /* one cycle, one fork, one exec at a time */
	RANK_LEND,        /* the cache of an idle thread, that another one has */
	RANK_CACHES,      /* list of caches, abandoned spans */
	RANK_ARENA,       /* page runs, growth, purge */
	RANK_META,        /* side arrays and descriptors */
	RANK_ROOTS,       /* tables of what the shim saw: epoll, stacks, modules */
	RANK_LEAF         /* anything that takes no other lock */
};

struct lock {
	uint32_t word; /* atomic */
	uint8_t rank;
};
#define LOCK_INIT(r) { 0, (r) }

void lock_take(struct lock *l);  /* waits */
bool lock_try(struct lock *l);   /* never waits; true: held now */
void lock_drop(struct lock *l);
bool lock_any_held(void);        /* by this thread: for handlers, which may have interrupted whoever holds what they need */
static inline bool lock_is_held(const struct lock *l) { return load_relaxed(&l->word); } /* by anybody */
void lock_reset(struct lock *l); /* in a forked child only: free whatever its holder was */

#endif
