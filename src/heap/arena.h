/* Pages: windows of address space, runs of arena pages, descriptors, side memory. Inside src/heap only. */
#ifndef CGC_HEAP_ARENA_H
#define CGC_HEAP_ARENA_H

#include "heap/heap.h"

extern struct lock arena_lock; /* RANK_ARENA: runs, descriptors, growth, purge */
extern struct lock meta_lock;  /* RANK_META: side memory */

/* Once, by heap_start. false: no address space at all. */
bool arena_start(void);

/* A span of `pages` pages whose start is a multiple of align_pages pages; start, pages and zero are set (zero: the pages
 * read as zero), everything else is cleared, and the page map does not show it yet. NULL: no memory or heap_limit. */
struct span *arena_take(size_t pages, size_t align_pages);
/* Shows the span in the page map (law 5). */
void arena_publish(struct span *s);
/* Takes the span out of the page map and frees its pages. recycled: late frees into it are evidence. zero: known clean. */
void arena_give(struct span *s, bool recycled, bool zero);
/* Resizes a large span in place. false: the pages behind it are not free. */
bool arena_resize(struct span *s, size_t pages);
size_t arena_purge(bool all);
/* Free pages and holes, for heap_totals. */
void arena_totals(struct heap_totals *t);
size_t arena_pages_used(void); /* a peek */
void arena_set_limit(size_t bytes);
/* In a forked child: a lock that is held belongs to a thread that is gone, and what it guards may be half changed. */
void arena_fork_child(void);
void arena_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

/* Side memory that is never unmapped, zeroed, `align` a power of two up to 64. NULL: no memory. */
void *meta_take(size_t size, size_t align);

#endif
