/* Allocation while call stacks are recorded (sites.h): the stash, and sampling. Inside src/heap only. */
#ifndef CGC_HEAP_RECORDED_H
#define CGC_HEAP_RECORDED_H

#include "heap/cache_slow.h"

/* Before sites_on: one allocation in about `sample` bytes; 0: each. */
void recorded_start(size_t sample);
/* After it: what the calling thread has on its alloc lists will be recorded too. */
void recorded_begin(void);
/* Every malloc is recorded and none is counted for stress=: recorded_quick may have a slot. */
extern bool recorded_each;
void recorded_update(void);    /* stress= has changed */
/* The common case of a recorded malloc, neither busy nor counted, with recorded_each. NULL: there is no slot at hand. */
void *recorded_quick(size_t size, bool *zero, const void *caller);
/* A slot of class k; *record: this one is to be recorded. Busy. NULL: no memory. */
void *recorded_take(struct cache *c, unsigned k, bool *zero, bool *record);
/* Is a large block of so many bytes to be recorded? Busy; c may be NULL. */
bool recorded_large(struct cache *c, uint64_t bytes);

#endif
