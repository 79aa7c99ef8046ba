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
	uint32_t cfa;                  /* the program's stack pointer, from ours */
	uint32_t fp;                   /* its frame pointer is saved there; 0: still in the register */
	uint32_t at[OWN_PATH_FRAMES];  /* of the return addresses; the last is the program's */
	uintptr_t pc[OWN_PATH_FRAMES]; /* the last is not compared */
	uintptr_t here;                /* pc in the function that it begins in */
};

/* The calling thread's; empty when zero. An entry is empty while it is written: a handler may leave for good between any two stores. */
struct own_paths {
	uint32_t last;                 /* the one that was met last */
	struct own_path at[OWN_PATHS];
};

/* Undoes frame by frame until the one that `caller` lies in, and notes the way if it is as usual, else *way stays NULL. false: it is not found. */
BARE bool own_walk(struct own_paths *t, struct walk *w, struct frame *f, const void *caller, const struct own_path **way);

BARE static inline __attribute__((always_inline)) bool own_fits(const struct own_path *p, const struct walk *w, uintptr_t here, uintptr_t sp, const void *caller)
{
	uint32_t last = p->frames - 1;
	if (!p->frames || p->cfa > w->high - sp || *(const word_t *)(sp + p->at[last]) != (uintptr_t)caller)
		return false;
	for (uint32_t i = 0; i < last; i++)
		if (*(const word_t *)(sp + p->at[i]) != p->pc[i])
			return false;
	return p->here == here && p->generation == w->generation;
}

/* From the frame *f of ours to the program's, of which the stack and frame pointer are given. *way: how, from there; NULL: by frames that are not
 * as usual. false: it is not found. */
BARE static inline __attribute__((always_inline)) bool own_skip(struct own_paths *t, struct walk *w, struct frame *f, const void *caller,
                                                                uintptr_t *program_sp, uintptr_t *program_fp, const struct own_path **way)
{
	uintptr_t sp = f->reg[RULE_SP];
	const struct own_path *p = &t->at[t->last];
	if (UNLIKELY(!own_fits(p, w, f->pc, sp, caller))) {
		uint32_t i = 0;
		while (i < OWN_PATHS && !own_fits(&t->at[i], w, f->pc, sp, caller))
			i++;
		if (i == OWN_PATHS) {
			bool found = own_walk(t, w, f, caller, way);
			*program_sp = f->reg[RULE_SP];
			*program_fp = f->reg[MACHINE_FP];
			return found;
		}
		t->last = i;
		p = &t->at[i];
	}
	*way = p;
	*program_sp = sp + p->cfa;
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): registers are set by the assembly of capture_here */
	*program_fp = p->fp ? *(const word_t *)(sp + p->fp) : f->reg[MACHINE_FP];
	return true;
}

#endif
