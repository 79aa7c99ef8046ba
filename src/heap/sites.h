/*
 * Who allocated a block: the node of its call stack (backtrace/depot.h), a u32 a slot in side tables that exist in audit, in report and
 * with sites=1. A site is such a node; site 0 is "not recorded". Beside it stands how many bytes the program asked for.
 *
 * sample=N: only about one allocation in N bytes is recorded, each block with probability 1 - exp(-size/N); sites_weight is how many
 * blocks of its size it stands for. All others have site 0.
 */
#ifndef CGC_HEAP_SITES_H
#define CGC_HEAP_SITES_H

#include "base/bits.h"

struct span;

/* What a report asks of a site itself. How many blocks and bytes of it live is found by walking the spans. */
struct site {
	uint64_t recycled_blocks, recycled_bytes; /* atomic; the verdict adds */
	uint32_t immortal;                       /* atomic, of the node of a caller alone: blocks of this place are recycled no more (law 9) */
};

/* Turns recording on for the rest of the process: each malloc misses its fast path from then on (sample: about one in so many bytes; 0: each),
 * and the slow one records (recorded.c). false: no memory. Where stacks can't be had, the caller of malloc is the whole stack. */
bool sites_start(size_t sample);
extern bool sites_recording; /* atomic, set once */
static inline bool sites_on(void) { return load_relaxed(&sites_recording); }
/* By the thread that just allocated p: notes the stack above `caller`, and that `size` bytes were asked for. Busy or not. Result: p, so that who
 * calls last has no frame of its own in the way (backtrace/own.h). */
void *sites_record(void *p, size_t size, const void *caller);
/* The stack above `caller` as a site, for evidence. */
uint32_t sites_here(const void *caller);
/* p was resized where it is. */
void sites_resized(void *p, size_t size);
/* Site of a slot; 0 when none was recorded. */
uint32_t sites_of(const struct span *s, uint32_t slot);
/* Bytes that the program asked for; what it may use, where that was not recorded. */
size_t sites_bytes(const struct span *s, uint32_t slot);
/* For reports: bytes from a block's start on that the program may have put a pointer in: what it asked for, where that is known and it never
 * asked by malloc_usable_size what it may use; else the whole slot. What lies behind are remains of blocks that had the slot before. */
size_t sites_extent(const struct span *s, uint32_t slot);
void sites_prefetch(const struct span *s, uint32_t slot);
/* The slot's word in its span's table: the site, and a bit (ignored.h). Not of large spans. */
uint32_t *sites_word(const struct span *s, uint32_t *table, uint32_t slot);
extern bool sites_whole; /* atomic, set by malloc_usable_size */
/* How many blocks a recorded block of so many bytes of heap (span.block) stands for: 1, or more with sample=. */
double sites_weight(uint64_t block);
size_t sites_sampled(void); /* sample=; 0: each allocation is recorded */
uintptr_t sites_address(uint32_t site); /* the return address into the caller of malloc (or of operator new); 0: none */
uint32_t sites_count(void); /* sites are among 1..count */
/* 0..count */
const struct site *sites_get(uint32_t site);

/* In a child of fork: calls fn for each recorded block that this process made and that is still one; some twice. false: fn said false, or there
 * were too many to know all. By the only thread there is. */
bool sites_each_made(bool (*fn)(const struct span *s, uint32_t slot));
void sites_made_none(void); /* by heap_mark_inherited */

/* A block of this site was recycled. */
void sites_recycled(uint32_t site, size_t bytes);
/* In a child of fork: what was recycled before was its parent's. */
void sites_forked(void);
/* Evidence came in for a block of this site: no block whose stack begins at the same place of the code is recycled from here on, and
 * recycled ones that were not handed out yet become allocated again (span.c). true: it is the first; false: it was so before, or the
 * site is 0. Without memory to note it nothing is recycled any more. */
bool sites_make_immortal(uint32_t site);
bool sites_immortal(uint32_t site);
bool sites_any_immortal(void);
/* Memory of the table that must not be scanned. */
void sites_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
