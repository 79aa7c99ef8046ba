/*
 * One step up the stack, and which memory may be read on the way.
 *
 * A walk reads one window of memory. On the thread's ordinary stack that is all of it from the stack pointer up. On any other (alternate
 * stack, coroutine) nobody told us where it ends, and what was mapped a moment ago may be gone: the page that the stack pointer stands on
 * is there, and each further one is asked for (os_readable, a system call without lock) when the walk comes to it, in each walk anew. The
 * window changes only where a signal frame says that another stack was interrupted.
 */
#ifndef CGC_BACKTRACE_WALK_H
#define CGC_BACKTRACE_WALK_H

#include "backtrace/machine.h"
#include "backtrace/modules.h"
#include "backtrace/rules.h"
#include "base/fault.h"
#include "heap/self.h"

/* A function at the point where it called (or, exact, was interrupted): enough to undo its frame. */
struct frame {
	uintptr_t pc;
	uintptr_t exact;               /* 1: interrupted at pc; 0: pc is a return address */
	uintptr_t reg[MACHINE_SAVED + 1]; /* the preserved registers, then the stack pointer ([RULE_SP]) */
};

struct walk {
	uintptr_t low, high;           /* readable; high - low is 8 at least */
	uintptr_t limit;               /* `high` may be moved up to here, page by page; high: not at all */
	uint32_t generation;           /* of modules, for the whole walk */
	uint32_t misses, by_frame_pointer;
	bool refused;                  /* a word could not be had: what came of it holds for this walk only */
	bool guessed;                  /* a frame pointer was believed: from there on addresses may be of modules that nobody runs in */
};

enum step {
	STEP_ON,                       /* the frame is now that of its caller */
	STEP_END,                      /* it was the outermost */
	STEP_CUT                       /* it has a caller that can't be found */
};

/* Reads frames of others: no sanitizer has a say. Also on whoever a step is inlined into. */
#define BARE __attribute__((no_sanitize("address", "thread", "undefined")))

static inline bool walk_on_own_stack(uintptr_t sp) { return sp - self.stack_low < self.stack_high - self.stack_low; }
static inline void walk_window_own(struct walk *w, uintptr_t sp)
{
	w->low = align_down(sp, sizeof sp);
	w->high = w->limit = align_down(self.stack_high, sizeof sp);
}
void walk_window_unknown(struct walk *w, uintptr_t sp);
static inline __attribute__((always_inline)) uint32_t walk_generation(void) { return fault(FAULT_no_generation) ? 1 : modules_generation(); }
/* For the calling thread, whose stack pointer is sp. */
static inline __attribute__((always_inline)) void walk_start(struct walk *w, uintptr_t sp)
{
	*w = (struct walk){ .generation = walk_generation() };
	if (LIKELY(walk_on_own_stack(sp)))
		walk_window_own(w, sp);
	else
		walk_window_unknown(w, sp);
}
/* For another thread's registers and known stack. */
void walk_from(struct walk *w, uintptr_t sp, uintptr_t low, uintptr_t high);
/* Moves the window's end so that the word at `at` lies inside. false: it can't. */
bool walk_reach(struct walk *w, uintptr_t at);
/* Reads the rule that is not cached. */
void walk_miss(struct walk *w, uintptr_t at, struct rule *r);
/* A step by a rule with anything unusual in it. */
enum step walk_odd(struct walk *w, struct frame *f, const struct rule *r);

BARE static inline __attribute__((always_inline)) bool walk_load(struct walk *w, uintptr_t at, uintptr_t *value)
{
	if (UNLIKELY(at - w->low > w->high - w->low - sizeof *value || at & (sizeof *value - 1)) && !walk_reach(w, at))
		return false;
	*value = *(const word_t *)at;
	return true;
}

static inline __attribute__((always_inline)) void walk_rule(struct walk *w, uintptr_t at, struct rule *r)
{
	if (UNLIKELY(!rules_cached(at, w->generation, r)))
		walk_miss(w, at, r);
}

BARE static inline __attribute__((always_inline)) enum step walk_step(struct walk *w, struct frame *f)
{
	struct rule r;
	walk_rule(w, f->pc - 1 + f->exact, &r);
	uintptr_t cfa = f->reg[r.base] + (uintptr_t)(intptr_t)r.cfa, sp = f->reg[RULE_SP], pc = 0;
	/* Everyday's frames: its words lie between the window's start and CFA, so no load needs a look of its own. */
	uintptr_t lowest = cfa + (uintptr_t)((intptr_t)r.lowest * 8);
	if (UNLIKELY(r.flags & ~RULE_CALLED || cfa > w->high || cfa & (sizeof cfa - 1) || lowest < w->low || cfa < sp + (MACHINE_LINK < 0)))
		return walk_odd(w, f, &r);
	for (unsigned i = 0; i < MACHINE_SAVED; i++) {
		if (r.saved[i] == RULE_SAME)
			continue;
		uintptr_t at = cfa + (uintptr_t)((intptr_t)r.saved[i] * 8);
		f->reg[i] = *(const word_t *)at;
	}
	if (MACHINE_LINK >= 0)
		pc = f->reg[MACHINE_LINK < 0 ? 0 : MACHINE_LINK];
	else
		pc = *(const word_t *)(cfa - 8);
	pc = machine_strip(pc);
	if (UNLIKELY(cfa == sp && pc == f->pc)) /* a leaf above a leaf: the link register was not saved */
		return STEP_CUT;
	f->reg[RULE_SP] = cfa;
	f->pc = pc;
	f->exact = 0;
	return LIKELY(pc) ? STEP_ON : STEP_END;
}

#endif
