/* What backtrace.c and capture.c share: counters of captures that no thread's own memory counts. */
#ifndef CGC_BACKTRACE_CAPTURE_H
#define CGC_BACKTRACE_CAPTURE_H

#include "backtrace/walk.h"

enum { OWN_FRAMES = 32 }; /* of libcgc.so, between backtrace_here and the program: there are fewer than ten */

/* The frame of the function that this is inlined into. */
static inline __attribute__((always_inline)) void capture_here(struct walk *w, struct frame *f)
{
	machine_here(&f->pc, &f->reg[RULE_SP], f->reg);
	f->exact = 1;
	walk_start(w, f->reg[RULE_SP]);
}

/* Walks from there to the frame that `caller` lies in. false: not found. */
BARE static inline __attribute__((always_inline)) bool capture_begin(struct walk *w, struct frame *f, const void *caller)
{
	capture_here(w, f);
	for (unsigned i = 0; i < OWN_FRAMES; i++) {
		if (walk_step(w, f) != STEP_ON)
			return false;
		if (f->pc == (uintptr_t)caller)
			return true;
	}
	return false;
}

/* Every frame from f on. *cut: the outermost one was not reached. */
size_t capture_rest(struct walk *w, struct frame *f, uintptr_t *pcs, size_t most, bool *cut);

/* For captures without a struct thread_stack. */
void capture_count(const struct walk *w, size_t frames, bool cut);
/* Adds counters that others may be writing. */
void capture_add(struct backtrace_totals *t, const struct backtrace_totals *more);
/* Summed over threads (capture.c). */
void capture_threads_add(struct backtrace_totals *t);
void capture_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
