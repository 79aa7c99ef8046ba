/*
 * The plain walk, frame by frame, for tests, evidence and parked threads; and what the room counts. capture.c has the one that remembers.
 */
#include "backtrace/backtrace.h"
#include "backtrace/capture.h"
#include "backtrace/modules.h"
#include "backtrace/depot.h"

static struct backtrace_totals loose; /* atomic fields: captures that no thread_stack counts */

bool backtrace_start(void)
{
	bool rules = rules_start(), depot = depot_start();
	modules_list();
	return rules && depot;
}

BARE size_t capture_rest(struct walk *w, struct frame *f, uintptr_t *pcs, size_t most, bool *cut)
{
	size_t n = 0;
	enum step step = STEP_ON;
	for (; n < most && step == STEP_ON; step = walk_step(w, f))
		pcs[n++] = f->pc;
	*cut = step != STEP_END;
	return n;
}

void capture_count(const struct walk *w, size_t frames, bool cut)
{
	add_relaxed(&loose.captures, 1);
	add_relaxed(&loose.frames, frames);
	add_relaxed(&loose.walked, frames);
	add_relaxed(&loose.rule_misses, w->misses);
	add_relaxed(&loose.frame_pointer, w->by_frame_pointer);
	add_relaxed(&loose.cut, cut);
}

void capture_add(struct backtrace_totals *t, const struct backtrace_totals *more)
{
	t->captures += load_relaxed(&more->captures);
	t->frames += load_relaxed(&more->frames);
	t->walked += load_relaxed(&more->walked);
	t->suffix_hits += load_relaxed(&more->suffix_hits);
	t->rule_misses += load_relaxed(&more->rule_misses);
	t->frame_pointer += load_relaxed(&more->frame_pointer);
	t->cut += load_relaxed(&more->cut);
}

void backtrace_totals(struct backtrace_totals *t)
{
	*t = (struct backtrace_totals){ 0 };
	capture_add(t, &loose);
	capture_threads_add(t);
}

BARE __attribute__((noinline)) size_t backtrace_plain(const void *caller, uintptr_t *pcs, size_t most)
{
	struct walk w;
	struct frame f;
	bool cut = true;
	if (!most)
		return 0;
	pcs[0] = (uintptr_t)caller;
	if (!load_acquire(&rule_table) || !capture_begin(&w, &f, caller))
		return caller != NULL;
	return capture_rest(&w, &f, pcs, most, &cut);
}

size_t backtrace_from(const struct backtrace_registers *r, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs, size_t most)
{
	struct walk w;
	struct frame f = { .pc = r->pc, .exact = 1 };
	bool cut;
	if (!most || !load_acquire(&rule_table))
		return 0;
	for (unsigned i = 0; i < MACHINE_SAVED; i++)
		f.reg[i] = r->saved[machine_number(i)];
	f.reg[MACHINE_FP] = r->fp;
	f.reg[RULE_SP] = r->sp;
	walk_from(&w, r->sp, stack_low, stack_high);
	return capture_rest(&w, &f, pcs, most, &cut);
}

void backtrace_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	rules_own_ranges(fn);
	capture_own_ranges(fn);
}
