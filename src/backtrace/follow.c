/*
 * The capture that walks, as far as the stack differs from the one before:
 *
 *   1. skip our own frames, by the rules if their chain of return addresses was not met before (own.h)
 *   2. walk the new stack, innermost frame first, beside the old one
 *   3. a frame that equals an old one: compare the words that undoing the old frames from there on read
 *   4. all the same: the rest is the old rest, and so is its depot node. Only the new frames are children to be looked up
 *   5. keep the new frames in place of those that they replace
 *   6. note the new frames and their words as a tail, for the next capture from here
 *
 *      kept    [0] outermost ... [matched-1] | the new ones, innermost last
 *      fresh   innermost first, as found by the walk; moved to `kept` at the end
 *
 * Frames count from the stack pointer or the frame pointer, so no other register is followed; and the frame pointer is compared, and the
 * words that it was saved in, only where a frame further out counts from it (`need`): elsewhere compilers keep variables in it. A stack
 * with a frame of another kind (signals, realigned ones, expressions) is walked plainly, all of it.
 *
 * Must hold: a capture equals the plain walk, always, in the innermost BACKTRACE_MOST frames. Hence: one generation of modules (rules are
 * functions of it); words are compared only where the walk's window has been checked; what ended for want of memory is not remembered.
 *
 * Recursion: stacks of up to KEPT frames have all of them in the depot, a node a level. In deeper ones the outermost half of `kept` is
 * forgotten but for its node, and words further out than BELIEVED frames are not compared again.
 *
 * A handler may leave for good between any two stores: `count` is 0 while `kept` is rewritten, and a tail's place (`here`) while that is.
 */
#include "backtrace/thread_stack.h"
#include "backtrace/capture.h"
#include "backtrace/depot.h"
#include "base/fault.h"

#include <string.h>

enum { ODD = STEP_CUT + 1 };

/* ---- steps 2 and 3 ---- */

/* Are the words that undoing the kept frames [0, *frames) read still the same? false: they are for *frames only, which is less now. *good: so
 * many of the words are known to be. */
BARE static inline __attribute__((always_inline)) bool verified(const struct thread_stack *t, uint32_t *frames, struct walk *w, uint32_t *good)
{
	if (fault(FAULT_no_suffix_check) || !*frames)
		return true;
	if (UNLIKELY(t->top > w->high && !walk_reach(w, t->top - sizeof(uintptr_t)))) {
		*frames = 0;
		return false;
	}
	uint32_t from = reads_from(t, *frames), end = t->kept[*frames - 1].reads;
	from = *good > from ? *good : from;
	if (from >= end)
		return true;
	*good = (uint32_t)(reads_differ(t, t->reads + from, t->reads + end) - t->reads);
	if (LIKELY(*good == end))
		return true;
	while (*frames && t->kept[*frames - 1].reads > *good)
		--*frames;
	return false;
}

/* A frame that is not everyday's. *f goes on to its caller; *to: what was read. */
BARE static __attribute__((noinline)) int climb_odd(struct walk *w, struct fresh *f, const struct known *k, struct fresh *to)
{
	to->flags |= FRESH_UNREAD;
	if (k->flags & KNOWN_OUTERMOST)
		return STEP_END;
	uintptr_t cfa = (k->flags & KNOWN_BY_FP ? f->fp : f->sp) + (uintptr_t)(intptr_t)k->cfa;
	if (!(k->flags & (KNOWN_NO_RULE | KNOWN_ODD))) /* an unknown stack goes on behind the window? Once more, then */
		return !(cfa & (sizeof cfa - 1)) && cfa > f->sp && cfa > w->high && walk_reach(w, cfa - sizeof cfa) ? STEP_ON : ODD;
	if (k->flags & KNOWN_ODD)
		return ODD;
	struct frame g = { .pc = f->pc }; /* by frame pointer nothing else is needed */
	g.reg[MACHINE_FP] = f->fp;
	g.reg[RULE_SP] = f->sp;
	w->refused = false;
	enum step step = walk_step(w, &g);
	if (f->fp >= f->sp && f->fp && !w->refused) {
		to->flags = k->flags;
		to->pc_at = f->fp + 8;
		to->pc_word = *(const word_t *)to->pc_at;
		to->fp_at = f->fp;
		to->fp_word = *(const word_t *)to->fp_at;
	}
	if (step == STEP_ON) {
		f->pc = g.pc;
		f->fp = g.reg[MACHINE_FP];
		f->sp = g.reg[RULE_SP];
	}
	return step;
}

/* Walks until the rest is known. Result: new frames, in t->fresh; *matched: kept frames that are the rest; *end: why it ended. */
BARE static inline __attribute__((always_inline)) uint32_t walk_new(struct thread_stack *t, struct walk *w, const struct kept *first, uint32_t *matched, int *end)
{
	const uint32_t least = t->least;
	const struct known_table known = thread_stack_known(t);
	uint32_t old = t->count > least ? t->count : least, n = 0, good = 0;
	uintptr_t sp = first->sp, pc = first->pc, fp = first->fp;
	const struct kept *k = t->kept + old - 1, *const stop = t->kept + least - 1;
	struct fresh *to = t->fresh;
	for (;;) {
		while (k != stop && k->sp < sp)
			k--;
		if (k != stop && k->sp == sp && k->pc == pc && (k->fp == fp || !k->need)) {
			old = (uint32_t)(k - t->kept) + 1;
			if (LIKELY(verified(t, &old, w, &good)))
				break;
			k = t->kept + (old > least ? old : least) - 1;
			continue; /* with one that is further out */
		}
		if (UNLIKELY(n == KEPT)) {
			*end = STEP_CUT;
			old = 0;
			break;
		}
		const struct known *rule = known_at(known.places, known.elder, known.mask, w, pc);
		to->sp = sp;
		to->pc = pc;
		to->fp = fp;
		to->flags = rule->flags;
		uintptr_t cfa = (rule->flags & KNOWN_BY_FP ? fp : sp) + (uintptr_t)(intptr_t)rule->cfa;
		uintptr_t pc_at = cfa + (uintptr_t)((MACHINE_LINK < 0 ? -1 : (intptr_t)rule->ra) * 8), fp_at = cfa + (uintptr_t)((intptr_t)rule->fp * 8);
		if (UNLIKELY(rule->flags & ~(KNOWN_BY_FP | KNOWN_SAVES_FP) || cfa > w->high || cfa <= sp || cfa & (sizeof cfa - 1)
		             || (MACHINE_LINK >= 0 && pc_at < sp) || fp_at < sp)) {
			bool again = !(rule->flags & (KNOWN_OUTERMOST | KNOWN_NO_RULE | KNOWN_ODD));
			struct fresh f = { .sp = sp, .pc = pc, .fp = fp };
			int step = climb_odd(w, &f, rule, to);
			n += !again;
			to += !again;
			if (step == STEP_ON) {
				sp = f.sp;
				pc = f.pc;
				fp = f.fp;
				continue;
			}
			*end = step;
			old = 0;
			break;
		}
		to->pc_at = pc_at;
		to->pc_word = pc = *(const word_t *)pc_at;
		to->fp_at = fp_at;
		to->fp_word = *(const word_t *)fp_at;
		fp = rule->flags & KNOWN_SAVES_FP ? to->fp_word : fp;
		pc = machine_strip(pc);
		sp = cfa;
		n++;
		to++;
		if (UNLIKELY(!pc)) {
			*end = STEP_END;
			old = 0;
			break;
		}
	}
	*matched = old;
	return n;
}

/* ---- step 5 ---- */

/* n more frames do not fit: the outermost ones are forgotten. Result: how many of the kept ones are left. */
static __attribute__((noinline)) uint32_t forget(struct thread_stack *t, uint32_t matched, uint32_t n)
{
	uint32_t least = matched + n - KEPT, drop = matched < KEPT / 2 ? matched : KEPT / 2;
	drop = drop < least ? least : drop;
	uint32_t words = t->kept[drop - 1].reads, all = t->kept[matched - 1].reads;
	memmove(t->kept, t->kept + drop, (matched - drop) * sizeof *t->kept);
	memmove(t->reads, t->reads + words, (all - words) * sizeof *t->reads);
	for (uint32_t i = 0; i < matched - drop; i++)
		t->kept[i].reads = (uint16_t)(t->kept[i].reads - words);
	t->least = fault(FAULT_no_least) ? 0 : BACKTRACE_MOST;
	return matched - drop;
}

/* The new stack becomes the kept one. Result: its node; 0: no memory in the depot. */
static inline __attribute__((always_inline)) uint32_t keep(struct thread_stack *t, uint32_t *matched, uint32_t n)
{
	uint32_t parent = 0, need = 0, reads = 0;
	if (LIKELY(*matched)) {
		parent = t->kept[*matched - 1].node;
		need = t->kept[*matched - 1].need;
		if (UNLIKELY(*matched + n > KEPT))
			*matched = forget(t, *matched, n);
		reads = *matched ? t->kept[*matched - 1].reads : 0;
	} else {
		const struct fresh *outermost = &t->fresh[n - 1];
		t->top = (outermost->pc_at > outermost->fp_at ? outermost->pc_at : outermost->fp_at) + sizeof(uintptr_t);
		if (outermost->flags & FRESH_UNREAD)
			t->top = n > 1 ? outermost->sp : 0;
	}
	if (UNLIKELY(!depot_started()))
		return 0;
	const struct depot_node *at = depot_get(parent);
	struct kept *to = &t->kept[*matched];
	struct read *read = &t->reads[reads];
	for (const struct fresh *from = &t->fresh[n]; from-- > t->fresh; to++) {
		const uint32_t flags = from->flags;
		to->sp = from->sp;
		to->pc = from->pc;
		to->fp = from->fp;
		uint32_t node = depot_find(&at, from->pc);
		if (UNLIKELY(!node)) {
			if (!(node = depot_child(parent, from->pc)))
				return 0;
			at = depot_get(node);
		}
		to->node = parent = node;
		read[0] = (struct read){ from->pc_at - (uintptr_t)t, from->pc_word };
		read[1] = (struct read){ from->fp_at - (uintptr_t)t, from->fp_word };
		const uint32_t saves = flags / KNOWN_SAVES_FP & 1, by_fp = flags & KNOWN_BY_FP;
		if (LIKELY(flags <= (KNOWN_BY_FP | KNOWN_SAVES_FP))) {
			read += 1 + (need & saves);
			need = by_fp | (need & !saves);
		} else { /* both are needed, where there are any */
			read += flags & FRESH_UNREAD ? 0 : 2;
			need = flags & (KNOWN_BY_FP | KNOWN_NO_RULE) || need;
		}
		to->need = (uint16_t)need;
		to->reads = (uint16_t)(read - t->reads);
	}
	return parent;
}

/* ---- step 6 ---- */

/* Which of the set goes: the same stack as it was found before, or one that did not hold since all others did. */
static inline __attribute__((always_inline)) struct tail *tail_to_write(struct thread_stack *t, struct tail *set, uintptr_t here, uint32_t node)
{
	for (struct tail *e = set; e < set + TAIL_WAYS; e++)
		if (!e->here || (e->here == here && e->node == node))
			return e;
	if (UNLIKELY(t->more_sets < TAIL_SETS - 1) && ++t->turned_out > (t->more_sets ? SOME_FELL : FEW_FELL))
		thread_stack_more(t);
	for (;; t->turn++) {
		struct tail *e = &set[t->turn % TAIL_WAYS];
		if (!e->used)
			return e;
		e->used = false;
	}
}

/* The kept stack ends in n frames behind the first `join`, and `path` leads to it. No room for their words: no tail. */
BARE static inline __attribute__((always_inline)) void remember(struct thread_stack *t, struct tail *set, uintptr_t sp, const struct own_path *path, const struct kept *first, uint32_t join, uint32_t n)
{
	const struct kept *last = &t->kept[join + n - 1], *joined = &t->kept[join - 1];
	const struct read *read = &t->reads[joined->reads];
	uint32_t count = (uint32_t)(last->reads - joined->reads), words = 0;
	bool saved = last->need && path->fp;
	if (path->frames + saved + count > TAIL_READS || (joined->sp - sp) / sizeof(uintptr_t) > UINT16_MAX)
		return;
	struct tail *to = tail_to_write(t, set, sp, last->node);
	to->here = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	to->pc = first->pc;
	to->fp = first->fp;
	to->by_fp = last->need && !path->fp ? UINTPTR_MAX : 0;
	to->stamp = 0; /* never that of a stack: whether it joins is looked at when `kept` is whole */
	to->join = join;
	to->join_sp = joined->sp;
	to->join_fp = joined->fp;
	to->join_node = joined->node;
	to->frames = join + n;
	to->used = false;
	to->node = last->node;
	for (; words < path->frames; words++) {
		to->at[words] = (uint16_t)(path->at[words] / sizeof(uintptr_t));
		to->word[words] = *(const word_t *)(sp + path->at[words]);
	}
	if (saved) {
		to->at[words] = (uint16_t)(path->fp / sizeof(uintptr_t));
		to->word[words++] = first->fp;
	}
	for (uint32_t i = 0; i < count; i++, words++) {
		to->at[words] = (uint16_t)((read[i].at + (uintptr_t)t - sp) / sizeof(uintptr_t));
		to->word[words] = read[i].word;
	}
	for (; words % 4 && words < TAIL_READS; words++) {
		to->at[words] = to->at[words - 1];
		to->word[words] = to->word[words - 1];
	}
	to->blocks = (uint8_t)(words / 4);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	to->here = sp;
	tail_is(t, to);
}

/* ---- all of it ---- */

BARE __attribute__((noinline)) uint32_t follow_plainly(const void *caller, uintptr_t *pcs, size_t most)
{
	struct walk w = { .misses = 0 };
	struct frame f;
	bool cut = true;
	size_t n = 1;
	pcs[0] = (uintptr_t)caller;
	if (load_acquire(&rule_table) && capture_begin(&w, &f, caller))
		n = capture_rest(&w, &f, pcs, most, &cut);
	capture_count(&w, n, cut);
	uint32_t node = 0;
	while (n && (node = depot_child(node, pcs[n - 1])))
		n--;
	return node ? node : depot_child(0, (uintptr_t)caller);
}

/* Rules are those of other modules now. */
static __attribute__((noinline)) void begin_anew(struct thread_stack *t, uint32_t generation)
{
	thread_stack_drop(t);
	if (t->generation) { /* else the kernel wiped it */
		for (unsigned i = 0; i < TAIL_SETS; i++)
			for (unsigned j = 0; j < TAIL_WAYS; j++)
				t->tails[i][j].here = 0;
		memset(t->young, 0, sizeof t->young);
	}
	if (t->known_generation != generation) {
		if (t->known_generation)
			memset(t->known, 0, sizeof t->known);
		t->known_generation = generation;
	}
	t->generation = generation;
}

BARE __attribute__((noinline)) uint32_t follow(struct thread_stack *t, struct tail *set, uintptr_t sp, const struct own_path *path)
{
	struct kept *const first = &t->first;
	struct walk w;
	struct frame f;
	uint32_t matched = 0, n = 0;
	int end = STEP_ON;
	bool found = path != NULL;
	walk_start(&w, sp);
	if (UNLIKELY(t->generation != w.generation)) {
		begin_anew(t, w.generation);
		found = false;
	}
	if (UNLIKELY(!found)) {
		capture_here(&w, &f); /* no __builtin_frame_address here: a frame that counts from fp has no path */
		found = own_walk(&t->paths, &w, &f, sp, (const void *)first->pc, &path);
		first->sp = f.reg[RULE_SP];
		first->fp = f.reg[MACHINE_FP];
	}
	if (LIKELY(found))
		n = walk_new(t, &w, first, &matched, &end);
	if (UNLIKELY(!(n + matched) || end == ODD)) {
		thread_stack_drop(t); /* so `kept` is free */
		return follow_plainly((const void *)first->pc, (uintptr_t *)t->kept, BACKTRACE_MOST);
	}
	thread_stack_drop(t);
	uint32_t frames = n + matched, node = keep(t, &matched, n);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (LIKELY(matched && node && set && end == STEP_ON))
		remember(t, set, sp, path, first, matched, n);
	if (!matched) {
		t->cut = end == STEP_CUT;
		t->least = n == KEPT ? BACKTRACE_MOST : 0;
	}
	/* Not remembered: a stack that ended at memory that may be there next time. */
	t->count = node && !(end == STEP_CUT && w.refused) ? n + matched : 0;
	struct backtrace_totals *c = &t->totals;
	thread_stack_count(&c->captures, 1);
	thread_stack_count(&c->frames, frames);
	thread_stack_count(&c->walked, n);
	thread_stack_count(&c->suffix_hits, end == STEP_ON);
	if (UNLIKELY(w.misses | w.by_frame_pointer | t->cut)) {
		thread_stack_count(&c->rule_misses, w.misses);
		thread_stack_count(&c->frame_pointer, w.by_frame_pointer);
		thread_stack_count(&c->cut, t->cut);
	}
	return LIKELY(node) ? node : depot_child(0, first->pc);
}
