/*
 * Our own frames, between the capture and the program, skipped: which way malloc was entered is told by the
 * chain of their return addresses. Our frames count from the stack pointer (own_walk looks at
 * the rules), so each return address stands at a fixed distance, and the rule of each says where the next one is: if all are as they were,
 * it is the same chain, and what was saved stands where it stood.
 */
#ifndef CGC_BACKTRACE_OWN_H
#define CGC_BACKTRACE_OWN_H

#include "backtrace/walk.h"

enum { OWN_PATHS = 16, OWN_PATH_FRAMES = 12 }; /* there are a dozen ways */

struct own_path {
	uint32_t frames;               /* 0: empty */
	uint32_t generation;
	uint32_t cfa;                  /* the program's stack pointer, from that of backtrace_here, as all of these */
	uint32_t fp;                   /* its frame pointer is saved there; 0: still in the register */
	uint32_t at[OWN_PATH_FRAMES];  /* of the return addresses; the last is the program's */
	uintptr_t pc[OWN_PATH_FRAMES]; /* the last is not compared */
};

/* The calling thread's; empty when zero. An entry is empty while it is written: a handler may leave for good between any two stores. */
struct own_paths {
	uint32_t last;                 /* the one that was noted last */
	struct own_path at[OWN_PATHS];
};

/* Undoes frame by frame, from *f below backtrace_here whose stack pointer is sp, until the one that `caller` lies in. The way is noted and put into *way
 * if it is as usual. false: it is not found. */
BARE bool own_walk(struct own_paths *t, struct walk *w, struct frame *f, uintptr_t sp, const void *caller, const struct own_path **way);

/* Keeps compilers from making vectors of a loop that goes round a few times. */
static inline __attribute__((always_inline)) void scalar(uintptr_t *differ) { __asm__("" : "+r"(*differ)); }

/* Is this the way from backtrace_here to caller? high: end of the stack. */
BARE static inline __attribute__((always_inline)) bool own_fits(const struct own_path *p, uint32_t generation, uintptr_t high, uintptr_t sp, const void *caller)
{
	uint32_t last = p->frames - 1;
	if (!p->frames || p->cfa > high - sp)
		return false;
	uintptr_t differ = *(const word_t *)(sp + p->at[last]) ^ (uintptr_t)caller;
	for (uint32_t i = 0; i < last; i++) {
		differ |= *(const word_t *)(sp + p->at[i]) ^ p->pc[i];
		scalar(&differ);
	}
	return !differ && p->generation == generation;
}
BARE static inline __attribute__((always_inline)) uintptr_t own_program_fp(const struct own_path *p, uintptr_t sp, uintptr_t fp)
{
	return p->fp ? *(const word_t *)(sp + p->fp) : fp;
}

/* The way that fits; NULL: it was not noted. */
const struct own_path *own_way(const struct own_paths *t, uint32_t generation, uintptr_t high, uintptr_t sp, const void *caller);

#endif
