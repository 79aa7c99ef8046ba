/*
 * What a thread remembers of call sites: the rule of each as far as captures need it (stack and frame pointer), in a table without
 * collisions: what comes to a place takes it. No atomics: a handler on top of a capture does not use it; but it may leave for good
 * between any two stores, so an entry is empty while it is written.
 */
#ifndef CGC_BACKTRACE_KNOWN_H
#define CGC_BACKTRACE_KNOWN_H

#include "backtrace/walk.h"

enum {
	KNOWN = 1024,                  /* call sites of a program's busy part; 16 KiB */
	KNOWN_FEW = 256,               /* of a thread that allocated from few places: a page */
	KNOWN_YOUNG = 128              /* of a child of fork, until it did from more */
};

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

/* Takes the rule of the return address pc into *k from `elder`, a whole table or NULL, or reads it. */
void known_take(struct known *k, const struct known *elder, struct walk *w, uintptr_t pc);

/* mask: one of these less one. What was found by one is not by the other. */
static inline __attribute__((always_inline)) struct known *known_place(struct known *places, uint32_t mask, uintptr_t pc)
{
	return &places[(pc * 0x9E3779B97F4A7C15ull) >> 54 & mask];
}
_Static_assert(KNOWN == 1 << (64 - 54), "the shift of known_place()");

static inline __attribute__((always_inline)) struct known *known_at(struct known *places, const struct known *elder, uint32_t mask, struct walk *w, uintptr_t pc)
{
	struct known *k = known_place(places, mask, pc);
	if (UNLIKELY(k->pc != pc))
		known_take(k, elder, w, pc);
	return k;
}

#endif
