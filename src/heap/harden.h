/* harden=1: what freed memory looks like, and when it is used again. The rest of the house needs harden_start and the pattern. */
#ifndef CGC_HEAP_HARDEN_H
#define CGC_HEAP_HARDEN_H

#include "base/bits.h"

struct cache;
struct slot;
struct span;

/* The byte that fills freed blocks (and recycled ones under stress): no address, no small number, negative. */
enum { HARDEN_POISON = 0xDB };
#define HARDEN_WORD 0xDBDBDBDBDBDBDBDBull

/* For the rest of the process. Spans made before it are not hardened. */
void harden_start(void);
extern bool harden_flag; /* atomic */
static inline bool harden_on(void) { return UNLIKELY(load_relaxed(&harden_flag)); }

/* A slot whose byte is 0 already: poisoned, and given back to its span after DELAY others. Busy. `c` may be the empty cache. */
void harden_free(struct cache *c, struct slot *slot);
/* Whatever waits goes back now. Busy. */
void harden_drain(struct cache *c);
/* A large span whose byte is 0: its contents go to the system at once, its pages back to the arena later. */
void harden_free_large(struct span *s);

/* Free pages that are given to the arena: their contents go to the system. false: they can't, the pages are dirty. */
bool harden_pages_given(uintptr_t start, size_t size);
/* Such pages come back: they must be zero still, and are afterwards. */
void harden_pages_taken(uintptr_t start, size_t size);

/* Is every byte still poison, or zero? */
bool harden_intact(const void *p, size_t size);
bool harden_blank(const void *p, size_t size);
/* 0..below - 1. */
uint32_t harden_random(uint32_t below);

#endif
