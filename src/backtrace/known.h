/*
 * What a thread remembers of call sites: the rule of each as far as captures need it (stack and frame pointer), and which node of the depot
 * it was below which. Both are tables without collisions: what comes to a place takes it. No atomics: a handler on top of a capture
 * does not use them; but it may leave for good between any two stores, so an entry is empty while it is written.
 */
#ifndef CGC_BACKTRACE_KNOWN_H
#define CGC_BACKTRACE_KNOWN_H

#include "backtrace/depot.h"
#include "backtrace/walk.h"

enum { KNOWN = 1024, EDGES = 1024 }; /* call sites of a program's busy part; 16 KiB each */

enum known_flags {
	KNOWN_BY_FP = 1,               /* CFA counts from fp */
	KNOWN_SAVES_FP = 2,
	KNOWN_OUTERMOST = 4,
	KNOWN_NO_RULE = 8,             /* by frame pointer, if at all */
	KNOWN_ODD = 16                 /* none of this: a stack with this frame is walked plainly */
};

/* A call site: the rule of its frame as far as needed here. */
struct known {
	uintptr_t pc;                  /* 0: empty */
	int32_t cfa;
	int8_t fp, ra;                 /* words from CFA */
	uint8_t flags;
};

/* What the depot said. */
struct edge {
	uintptr_t pc;
	uint32_t parent, node;         /* node 0: empty */
};

/* Reads the rule of the return address pc into *k. */
void known_read(struct known *k, struct walk *w, uintptr_t pc);

static inline __attribute__((always_inline)) struct known *known_at(struct known *places, struct walk *w, uintptr_t pc)
{
	struct known *k = &places[(pc * 0x9E3779B97F4A7C15ull) >> 54];
	if (UNLIKELY(k->pc != pc))
		known_read(k, w, pc);
	return k;
}
_Static_assert(KNOWN == 1 << (64 - 54), "the shift of known_at()");

static inline __attribute__((always_inline)) uint32_t edge_child(struct edge *edges, uint32_t parent, uintptr_t pc)
{
	struct edge *e = &edges[((pc ^ (uintptr_t)parent << 32) * 0x9E3779B97F4A7C15ull) >> 54];
	if (LIKELY(e->pc == pc && e->parent == parent && e->node))
		return e->node;
	uint32_t node = depot_child(parent, pc);
	e->node = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	e->parent = parent;
	e->pc = pc;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return e->node = node;
}
_Static_assert(EDGES == 1 << (64 - 54), "the shift of edge_child()");

#endif
