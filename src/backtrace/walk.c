/*
 * The steps that are not everyday's: signal frames, realigned stacks, expressions, frames kept by the frame pointer; and the window.
 *
 * Generated code has no rules. If it keeps frame pointers, the word at fp is the caller's fp and the next one the return address.
 * Nothing proves that it does, so such a step counts only if the address it leads to stands behind a call instruction: a wrong stack would
 * be a new one each time, and fill the depot.
 */
#include "backtrace/walk.h"
#include "backtrace/cfi.h"
#include "backtrace/leave.h"
#include "backtrace/modules.h"
#include "base/fault.h"
#include "heap/self.h"
#include "os/os.h"

enum { PAGE = 4096, REACH = 1 << 20 }; /* an unknown stack has no more above its pointer than this, or is cut there */

void walk_window_unknown(struct walk *w, uintptr_t sp)
{
	w->low = align_down(sp, sizeof sp);
	w->high = align_down(sp, PAGE) + PAGE;
	w->limit = w->high + REACH;
}

bool walk_reach(struct walk *w, uintptr_t at)
{
	w->refused = true;
	if (at & (sizeof at - 1) || at < w->low || at >= w->limit)
		return false;
	for (; w->high <= at; w->high += PAGE)
		if (!os_readable(w->high))
			return false;
	w->refused = false;
	return true;
}

/* A signal frame says that the code that it interrupted had this stack pointer. */
static bool cross(struct walk *w, uintptr_t sp)
{
	if (sp >= w->low && sp < w->high)
		return true;
	bool own = walk_on_own_stack(sp);
	if (!own && walk_reach(w, align_down(sp, sizeof sp)))
		return true;
	if (!os_readable(sp))
		return false;
	if (own)
		walk_window_own(w, sp);
	else
		walk_window_unknown(w, sp);
	return true;
}

static enum step arrive(struct frame *f, const struct frame *caller)
{
	if (!caller->pc)
		return STEP_END;
	*f = *caller;
	return STEP_ON;
}

/* sp of the caller, if it may be that. */
static bool above(struct walk *w, const struct frame *f, uintptr_t cfa, bool signal)
{
	return signal ? cross(w, cfa) : cfa >= f->reg[RULE_SP] + (MACHINE_LINK < 0) && cfa - w->low <= w->limit - w->low;
}

/* A module that a thread runs in can't be unmapped under it; one that a guess leads to can. */
void walk_miss(struct walk *w, uintptr_t at, struct rule *r)
{
	w->misses++;
	if (LIKELY(!w->guessed)) {
		rules_read(at, w->generation, r);
	} else if (modules_hold()) {
		rules_read(at, w->generation, r);
		modules_let_go();
	} else {
		w->refused = true;
		*r = (struct rule){ .generation = w->generation, .flags = RULE_NONE };
	}
}

BARE static enum step by_frame_pointer(struct walk *w, struct frame *f)
{
	uintptr_t fp = f->reg[MACHINE_FP], next, pc;
	struct rule there;
	if (!fp)
		return STEP_END;
	if (fp < f->reg[RULE_SP] || !walk_load(w, fp, &next) || !walk_load(w, fp + 8, &pc))
		return STEP_CUT;
	pc = machine_strip(pc);
	if (!pc)
		return STEP_END;
	w->guessed = true;
	walk_rule(w, pc - 1, &there);
	if (!(there.flags & RULE_CALLED))
		return STEP_CUT;
	w->by_frame_pointer++;
	f->pc = pc;
	f->exact = 0;
	f->reg[MACHINE_FP] = next;
	if (MACHINE_LINK >= 0)
		f->reg[MACHINE_LINK < 0 ? 0 : MACHINE_LINK] = pc;
	f->reg[RULE_SP] = fp + 16;
	return STEP_ON;
}

BARE static bool load_for_expression(void *w, uintptr_t at, uintptr_t *word) { return walk_load(w, at, word); }

/* One register by its row. */
BARE static bool recover(struct walk *w, const struct cfi_scene *scene, const struct cfi_where *where, uintptr_t cfa, uintptr_t *value)
{
	uintptr_t at;
	switch (where->how) {
	case CFI_SAME: case CFI_UNDEFINED: return true;
	case CFI_AT_CFA: return walk_load(w, cfa + (uintptr_t)where->n, value);
	case CFI_IS_CFA: *value = cfa + (uintptr_t)where->n; return true;
	case CFI_IN_REGISTER: *value = scene->saved[where->n]; return true;
	case CFI_AT_EXPRESSION: return cfi_evaluate(scene, (uintptr_t)where->n, true, cfa, &at) && walk_load(w, at, value);
	case CFI_IS_EXPRESSION: return cfi_evaluate(scene, (uintptr_t)where->n, true, cfa, value);
	case CFI_UNKNOWN: break;
	}
	return false;
}

/* The whole row, evaluated. */
static enum step by_row(struct walk *w, struct frame *f)
{
	struct cfi_row row;
	struct cfi_image image;
	struct frame caller = *f;
	uintptr_t cfa = 0;
	if (!rules_row(f->pc - 1 + f->exact, &row, &image))
		return STEP_CUT;
	struct cfi_scene scene = { &image, f->reg, f->reg[RULE_SP], f->pc, load_for_expression, w };
	if (row.cfa.how == CFI_AT_CFA)
		cfa = f->reg[row.cfa_slot == CFI_SP ? (unsigned)RULE_SP : row.cfa_slot] + (uintptr_t)row.cfa.n;
	else if (row.cfa.how != CFI_IS_EXPRESSION || !cfi_evaluate(&scene, (uintptr_t)row.cfa.n, false, 0, &cfa))
		return STEP_CUT;
	for (unsigned i = 0; i < MACHINE_SAVED; i++)
		if (!recover(w, &scene, &row.saved[i], cfa, &caller.reg[i]))
			return STEP_CUT;
	if (MACHINE_LINK >= 0)
		caller.pc = caller.reg[MACHINE_LINK < 0 ? 0 : MACHINE_LINK];
	else if (!recover(w, &scene, &row.saved[CFI_RA], cfa, &caller.pc))
		return STEP_CUT;
	caller.pc = machine_strip(caller.pc);
	caller.exact = row.signal;
	caller.reg[RULE_SP] = cfa;
	return above(w, f, cfa, row.signal) ? arrive(f, &caller) : STEP_CUT;
}

static enum step by_guessed_row(struct walk *w, struct frame *f)
{
	if (!modules_hold()) {
		w->refused = true;
		return STEP_CUT;
	}
	enum step step = by_row(w, f);
	modules_let_go();
	return step;
}

BARE enum step walk_odd(struct walk *w, struct frame *f, const struct rule *r)
{
	if (r->flags & RULE_OUTERMOST)
		return STEP_END;
	if (r->flags & RULE_NONE)
		return by_frame_pointer(w, f);
	if (r->flags & RULE_ROW)
		return w->guessed ? by_guessed_row(w, f) : by_row(w, f);
	struct frame caller = *f;
	uintptr_t base = f->reg[r->base], cfa = base + (uintptr_t)(intptr_t)r->cfa;
	if (r->flags & RULE_LOADED && !walk_load(w, cfa, &cfa))
		return STEP_CUT;
	uintptr_t from = r->flags & RULE_FROM_BASE ? base : cfa, ra_from = r->flags & RULE_RA_FROM_BASE ? base : cfa;
	for (unsigned i = 0; i < MACHINE_SAVED; i++)
		if (r->saved[i] != RULE_SAME && !walk_load(w, from + (uintptr_t)((intptr_t)r->saved[i] * 8), &caller.reg[i]))
			return STEP_CUT;
	if (r->ra != RULE_SAME) {
		if (!walk_load(w, ra_from + (uintptr_t)((intptr_t)r->ra * 8), &caller.pc))
			return STEP_CUT;
	} else {
		caller.pc = caller.reg[MACHINE_LINK < 0 ? 0 : MACHINE_LINK];
	}
	caller.pc = machine_strip(caller.pc);
	caller.exact = (r->flags & RULE_SIGNAL) != 0;
	caller.reg[RULE_SP] = cfa;
	if (cfa == f->reg[RULE_SP] && caller.pc == f->pc)
		return STEP_CUT;
	return above(w, f, cfa, caller.exact) ? arrive(f, &caller) : STEP_CUT;
}

void walk_from(struct walk *w, uintptr_t sp, uintptr_t low, uintptr_t high)
{
	*w = (struct walk){ .generation = modules_generation() };
	w->low = align_down(sp, sizeof sp);
	w->high = align_down(sp, PAGE) + PAGE;
	w->limit = align_down(high, sizeof sp);
	if (sp < low || w->high > w->limit)
		w->high = w->limit;
	if (sp < low || w->limit < w->low + sizeof sp || !os_readable(sp)) /* nothing to be read: a window on our own frame */
		w->low = (uintptr_t)w, w->high = w->limit = w->low + sizeof sp;
}
