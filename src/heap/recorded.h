/* Allocation while call stacks are recorded (sites.h): the stash, and sampling. Inside src/heap and in the two files that define malloc and new. */
#ifndef CGC_HEAP_RECORDED_H
#define CGC_HEAP_RECORDED_H

#include "heap/cache_slow.h"
#include "heap/sites.h"

/* Before sites_on: one allocation in about `sample` bytes; 0: each. */
void recorded_start(size_t sample);
/* After it: what the calling thread has on its alloc lists will be recorded too. */
void recorded_begin(void);
/* Every malloc is recorded and none is counted for stress=: recorded_quick may have a slot. */
extern bool recorded_each;
void recorded_update(void);    /* stress= has changed */
/* The common case of a recorded malloc, neither busy nor counted, with recorded_each. As the fast path of malloc, it may be stopped at any
 * instruction: the slot is on a list of the cache or in a register. NULL: there is no slot at hand. */
static inline __attribute__((always_inline)) void *recorded_pop(struct cache *c, unsigned k, bool *zero)
{
	struct slot *s = c->stash[k];
	if (UNLIKELY(!arena_contains((uintptr_t)s)))
		return NULL;
	c->stash[k] = s->next;
	if (zero)
		*zero = UNLIKELY((intptr_t)(s->key * arena.inverse) < 0) && cache_is_zero(s);
	*(slot_words *)s = (slot_words){ 0, 0 };
	return s;
}
static inline __attribute__((always_inline)) void *recorded_quick(size_t size, bool *zero, const void *caller)
{
	void *p = LIKELY(size < TABLE_MAX) ? recorded_pop(self.cache, class_table[size >> 4], zero) : NULL;
	return LIKELY(p != NULL) ? sites_record(p, size, caller) : NULL;
}
/* What malloc does when its alloc list is empty. Both are called last, so that the common case has no frame between the program and the capture,
 * which compares what stands there; sites_record's result is never NULL. */
static inline __attribute__((always_inline)) void *recorded_malloc_or(size_t size, const void *caller, void *(*slow)(size_t, const void *))
{
	void *p = LIKELY(load_relaxed(&recorded_each)) && LIKELY(size < TABLE_MAX) ? recorded_pop(self.cache, class_table[size >> 4], NULL) : NULL;
	return LIKELY(p != NULL) ? sites_record(p, size, caller) : slow(size, caller);
}
/* A slot of class k; *record: this one is to be recorded. Busy. NULL: no memory. */
void *recorded_take(struct cache *c, unsigned k, bool *zero, bool *record);
/* Is a large block of so many bytes to be recorded? Busy; c may be NULL. */
bool recorded_large(struct cache *c, uint64_t bytes);

#endif
