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
#include "backtrace/rules.h"

/* A function at the point where it called (or, exact, was interrupted): enough to undo its frame. */
struct frame {
	uintptr_t pc;
	uintptr_t exact;               /* 1: interrupted at pc; 0: pc is a return address */
	uintptr_t reg[MACHINE_SAVED + 1]; /* the preserved registers, then the stack pointer ([RULE_SP]) */
};

struct loaded {
	uintptr_t at, value;
};

struct walk {
	uintptr_t low, high;           /* readable; high - low is 8 at least */
	uintptr_t limit;               /* `high` may be moved up to here, page by page; high: not at all */
	uint32_t generation;           /* of modules, for the whole walk */
	uint32_t switches;             /* windows left behind */
	uint32_t misses, by_frame_pointer;
	struct loaded *log, *log_end;  /* each word that was read, in order; both NULL: nobody wants it */
	uintptr_t lowest, highest;     /* addresses of the words that the last logged step read, at the widest */
	bool log_full;
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

/* For the calling thread, whose stack pointer is sp. */
void walk_start(struct walk *w, uintptr_t sp);
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
	if (w->log) {
		if (LIKELY(w->log < w->log_end))
			*w->log++ = (struct loaded){ at, *value };
		else
			w->log_full = true;
		w->lowest = at < w->lowest ? at : w->lowest;
		w->highest = at > w->highest ? at : w->highest;
	}
	return true;
}

static inline __attribute__((always_inline)) void walk_rule(struct walk *w, uintptr_t at, struct rule *r)
{
	if (UNLIKELY(!rules_cached(at, w->generation, r)))
		walk_miss(w, at, r);
}

/* logged: w->log has room for the frame's words, which are added to it. */
BARE static inline __attribute__((always_inline)) enum step walk_step(struct walk *w, struct frame *f, bool logged)
{
	struct rule r;
	walk_rule(w, f->pc - 1 + f->exact, &r);
	uintptr_t cfa = f->reg[r.base] + (uintptr_t)(intptr_t)r.cfa, sp = f->reg[RULE_SP], pc = 0;
	/* Everyday's frames: its words lie between the window's start and CFA, so no load needs a look of its own. */
	uintptr_t lowest = cfa + (uintptr_t)((intptr_t)r.lowest * 8);
	if (UNLIKELY(r.flags & ~RULE_CALLED || cfa > w->high || cfa & (sizeof cfa - 1) || lowest < w->low || cfa < sp + (MACHINE_LINK < 0)))
		return walk_odd(w, f, &r);
	struct loaded *log = w->log;
	for (unsigned i = 0; i < MACHINE_SAVED; i++) {
		if (r.saved[i] == RULE_SAME)
			continue;
		uintptr_t at = cfa + (uintptr_t)((intptr_t)r.saved[i] * 8);
		f->reg[i] = *(const word_t *)at;
		if (logged)
			*log++ = (struct loaded){ at, f->reg[i] };
	}
	if (MACHINE_LINK >= 0) {
		pc = f->reg[MACHINE_LINK < 0 ? 0 : MACHINE_LINK];
	} else {
		pc = *(const word_t *)(cfa - 8);
		if (logged)
			*log++ = (struct loaded){ cfa - 8, pc };
	}
	if (logged) {
		w->log = log;
		w->lowest = lowest;
		w->highest = cfa - 8;
	}
	pc = machine_strip(pc);
	if (UNLIKELY(cfa == sp && pc == f->pc)) /* a leaf above a leaf: the link register was not saved */
		return STEP_CUT;
	f->reg[RULE_SP] = cfa;
	f->pc = pc;
	f->exact = 0;
	return LIKELY(pc) ? STEP_ON : STEP_END;
}

#endif
