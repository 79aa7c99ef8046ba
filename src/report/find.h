/*
 * What the files behind report_take share. All of it runs inside one stop, by one thread, under the collect lock: nothing is atomic.
 *
 *   find.c    the cycle, the sets, which lost block is definite and what hangs off it
 *   offsets.c which offsets are numbers that happen to be some
 *   kinds.c   inner pointers: which are as good as a pointer to the start; what is possible
 *   passes.c  over all blocks
 *   gather.c  sums by site, single blocks, the order of a report
 *   why.c     what holds one block: asks find.c for a report of its own
 */
#ifndef CGC_REPORT_FIND_H
#define CGC_REPORT_FIND_H

#include "heap/heap.h"
#include "report/report.h"

struct place {
	const struct span *s;
	uint32_t slot;
};
static inline uintptr_t place_address(struct place p) { return span_address(p.s, p.slot); }

/* Bits by slot, for all slots there are in this stop. */
enum set {
	SET_FIRM,   /* marked by pointers to starts from what surely lives; of a lost block: walked when cycles are looked for */
	SET_MET,    /* a lost block that another one points to; a possible one to which an inner pointer or a stale word leads */
	SET_PLAIN,  /* marked by pointers, inner ones included; the rest of what is marked hangs on offsets. Of a lost block: find.c, step 5 */
	SET_SEEN,   /* counted. Slots on alloc lists are from the beginning: they are no blocks of the program */
	SETS
};
void find_clear(enum set which);
bool find_has(enum set which, struct place p);
bool find_put(enum set which, struct place p); /* true: it was not in it */

/* The slot that holds w; the lost block, or the possible one. */
bool find_slot(uintptr_t w, struct place *p);
bool find_lost(uintptr_t w, struct place *p);
bool find_possible(uintptr_t w, struct place *p);
/* Calls fn for every block of that kind that p points to, p excepted; a block as often as there are words. */
void find_edges(struct place p, bool (*holder)(uintptr_t w, struct place *p), void (*fn)(struct place to));
/* Where a block that is wanted can be: most passes over the heap want few of its blocks, or none, and see 64 slots at once so. */
enum among {
	LOST,
	MARKED,
	NOT_FIRM,  /* marked, and not in SET_FIRM */
	NOT_PLAIN, /* marked, and not in SET_PLAIN */
};
/* Calls fn for every block among these that want() wants, in the heap's order. fn may take later ones out. */
void find_each(enum among among, bool (*want)(struct place p), void (*fn)(struct place p));
void find_each_backwards(enum among among, bool (*want)(struct place p), void (*fn)(struct place p));
/* Puts all marked blocks into a set. */
void find_put_marked(enum set which);
/* What passes need: the word of a set that holds p's bit, and the spans that have bits. */
uint64_t *find_word(enum set which, struct place p);
uint64_t find_unmarked(const struct span *s, uint32_t from); /* bit i: slot from + i is an unmarked block; needs no set */
uint32_t find_spans(void);
bool place_lost(struct place p);
bool place_possible(struct place p);
/* Follows edges from p over everything that enter() takes (false: it was there before). Never fails: where there is no memory for a stack,
 * it goes over all blocks that done() shows to have been entered. */
struct walk {
	bool (*holder)(uintptr_t w, struct place *p);
	bool (*enter)(struct place p);
	bool (*done)(struct place p);
	enum among among; /* of what done() shows */
};
void find_walk(const struct walk *walk, struct place from);

/* The block that is asked for. */
bool find_watched(struct place p);

/* A report whose stop ends with then(arg), while sets and marks are as they were. watched: complement of the block whose kind gather_watched
 * tells, and to which weak words and the asking thread's registers, where the question stands, do not lead; 0: none. */
void find_take(struct report *r, unsigned flags, uintptr_t weak_below, uintptr_t watched, void (*then)(void *arg), void *arg);

/* -- kinds.c -- */
bool kinds_as_good(uintptr_t w, const struct span *s, uint32_t slot);
void kinds_possible(void);

/* -- offsets.c -- */
void offsets_judge(void);

/* -- gather.c -- */
/* Blocks of p's site, by what they are: lost, or held by an offset. */
struct site_tally { uint64_t lost, by_offset; };
struct site_tally *gather_tally(struct place p); /* NULL: no memory */
bool gather_begin(struct report *r, unsigned flags);
bool gather_leaves(struct place p); /* a parent made it, and tells */
/* Counts a block. owner: the block it hangs off, if any; an indirect one is owned by the site of the last definite one. */
void gather_block(struct place p, enum snapshot_kind kind, enum snapshot_rule rule, struct place owner);
void gather_owned_by(struct place p); /* indirect ones that follow are owned by p's site */
struct watched {
	uintptr_t hidden;          /* complement of the block's start */
	bool seen;
	uint8_t kind, rule;
	struct place owner;        /* s NULL: none */
};
extern struct watched gather_watched;
/* Before reachable blocks are told: whether anybody will read of them. */
bool gather_wants_reachable(void);
void gather_cut(void);
bool gather_was_cut(void);
/* Sorts; the result's arrays are the report's. */
void gather_end(void);
void gather_drop(void); /* there will be no report: its arrays go */
uint64_t block_bytes(const struct span *s, uint32_t slot);
/* What may have been asked for to get this block. */
void block_sizes(const struct span *s, uint32_t slot, uint64_t *least, uint64_t *most);

#endif
