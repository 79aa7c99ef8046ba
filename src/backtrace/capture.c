/*
 * A call stack as depot node, cheaply: walk only as far as the stack differs from the one before.
 *
 * Undoing frames is a function of the first frame's registers and of the words that it reads. So each thread keeps its previous
 * stack: every frame as it was found (pc, stack pointer, preserved registers) and every word that undoing it read.
 *
 *   1. walk the new stack, innermost frame first, beside the old one
 *   2. a frame that equals an old one in everything: compare the words that undoing the old frames from there on read
 *   3. all the same: the rest is the old rest, and so is its depot node. Only the new frames are children to be looked up
 *   4. keep the new frames and their words in place of those that they replace
 *
 *      kept    [0] outermost ... [matched-1] | the new ones, innermost last         words  likewise, frame by frame
 *      fresh   innermost first, as found by the walk; moved to `kept` at the end
 *
 * Must hold: a capture equals the plain walk, always. Hence: one generation of modules (rules are functions of it); words are compared only
 * where the walk's window has been checked; a stack that goes on in another window (a handler's stack) is matched only in the last one;
 * a stack deeper than BACKTRACE_MOST is not matched at all, because its end depends on where it began.
 *
 * A handler on top of a capture finds `in_use` and takes the plain walk. One that leaves by longjmp leaves in_use behind; the next
 * capture sees that its stack pointer is above. `count` is 0 while `kept` is rewritten, so what was left half done is nothing.
 */
#include "backtrace/backtrace.h"
#include "backtrace/capture.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "base/fault.h"
#include "heap/self.h"
#include "os/os.h"

#include <string.h>

enum { WORDS_MOST = BACKTRACE_MOST * 8 };

struct kept {
	struct frame frame;
	uint32_t words_end;            /* kept: words[0, words_end) are read by undoing this frame and those outside it;
	                                  fresh: fresh_words from here on are this frame's */
	uint32_t node;                 /* of the depot; kept only */
	uintptr_t lowest, highest;     /* kept: addresses among those words; fresh: among the frame's own */
	uint32_t switches;             /* kept: windows that change further out. fresh: that were left behind on the way here */
};

/* Its thread writes everything but `owned` and `next`. */
struct thread_stack {
	struct thread_stack *next;     /* set before it is in the list */
	uint32_t owned;                /* atomic */
	uint32_t in_use;               /* own thread and its handlers */
	uintptr_t in_use_sp;
	uint32_t count;                /* of kept; 0: nothing is remembered */
	uint32_t generation;           /* of kept */
	bool cut;                      /* the kept stack was */
	struct backtrace_totals totals; /* own thread writes, anyone reads */
	struct kept kept[BACKTRACE_MOST];
	struct loaded words[WORDS_MOST];
	struct kept fresh[BACKTRACE_MOST];
	struct loaded fresh_words[WORDS_MOST];
};

static struct thread_stack *all;       /* atomic: only ever grows; those of dead threads are taken over */
static _Thread_local struct thread_stack *own __attribute__((tls_model("initial-exec")));
static struct thread_stack *const GONE = (struct thread_stack *)1; /* the thread is ending */

static size_t mapped_size(void) { return align_up(sizeof(struct thread_stack), 4096); }

static __attribute__((noinline)) struct thread_stack *take(void)
{
	if (own == GONE)
		return NULL;
	for (struct thread_stack *t = load_acquire(&all); t; t = t->next) {
		uint32_t nobody = 0;
		if (!load_relaxed(&t->owned) && cas(&t->owned, &nobody, 1)) {
			t->count = 0;
			t->in_use = 0;
			return own = t;
		}
	}
	struct thread_stack *t = os_map(mapped_size());
	if (!t)
		return NULL;
	t->owned = 1;
	t->next = load_acquire(&all);
	while (!cas(&all, &t->next, t))
		;
	return own = t;
}

/* Enters the thread's memory. NULL: a capture below us uses it, or there is none. */
static inline struct thread_stack *enter(uintptr_t sp)
{
	struct thread_stack *t = own;
	if (UNLIKELY((uintptr_t)t <= (uintptr_t)GONE) && !(t = take()))
		return NULL;
	if (UNLIKELY(t->in_use)) {
		bool left = sp > t->in_use_sp && sp - self.stack_low < self.stack_high - self.stack_low
		            && t->in_use_sp - self.stack_low < self.stack_high - self.stack_low;
		if (!left)
			return NULL;
	}
	t->in_use_sp = sp;
	t->in_use = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return t;
}

static inline void leave(struct thread_stack *t)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->in_use = 0;
}

/* Are the words that the kept frames [0, frames) read still the same? *good of them are known to be; *bad: the next is not. */
BARE static inline bool verified(const struct thread_stack *t, uint32_t frames, struct walk *w, uint32_t *good, bool *bad)
{
	const struct kept *k = &t->kept[frames - 1];
	const struct loaded *word = t->words + *good, *end = t->words + k->words_end;
	if (fault(FAULT_no_suffix_check))
		return true;
	if (word >= end || *bad)
		return word >= end;
	if (UNLIKELY(k->lowest < w->low || (k->highest > w->high - sizeof(uintptr_t) && !walk_reach(w, k->highest))))
		return false;
	for (; end - word >= 4; word += 4) { /* no branch a word */
		uintptr_t differ = *(const word_t *)word[0].at ^ word[0].value;
		differ |= *(const word_t *)word[1].at ^ word[1].value;
		differ |= *(const word_t *)word[2].at ^ word[2].value;
		differ |= *(const word_t *)word[3].at ^ word[3].value;
		if (UNLIKELY(differ))
			break;
	}
	while (word < end && *(const word_t *)word->at == word->value)
		word++;
	*good = (uint32_t)(word - t->words);
	*bad = word < end;
	return !*bad;
}

static inline bool same_frame(const struct frame *a, const struct frame *b)
{
	uintptr_t differ = a->exact ^ b->exact;
	if (a->pc != b->pc)
		return false;
	for (unsigned i = 0; i < MACHINE_SAVED + 1; i++)
		differ |= a->reg[i] ^ b->reg[i];
	return !differ;
}

/* Walks until the rest is known. Result: new frames, in t->fresh; *matched: kept frames that are the rest. */
BARE static inline __attribute__((always_inline)) uint32_t walk_new(struct thread_stack *t, struct walk *w, struct frame *f, uint32_t *matched, bool *cut)
{
	uint32_t old = t->count, n = 0, good = 0;
	bool bad = false;
	enum step step = STEP_ON;
	for (;;) {
		while (old && t->kept[old - 1].frame.reg[RULE_SP] < f->reg[RULE_SP])
			old--;
		if (old && !t->kept[old - 1].switches && same_frame(&t->kept[old - 1].frame, f) && verified(t, old, w, &good, &bad))
			break;
		if (n == BACKTRACE_MOST) {
			*matched = 0;
			*cut = true;
			return n;
		}
		t->fresh[n].frame = *f;
		t->fresh[n].words_end = (uint32_t)(w->log - t->fresh_words);
		t->fresh[n].switches = w->switches;
		w->log_full |= w->log_end - w->log < MACHINE_SAVED + 2;
		step = UNLIKELY(w->log_full) ? walk_step(w, f, false) : walk_step(w, f, true);
		t->fresh[n].lowest = w->lowest;
		t->fresh[n++].highest = w->highest;
		if (step != STEP_ON) {
			*matched = 0;
			*cut = step == STEP_CUT;
			return n;
		}
	}
	*matched = old;
	*cut = t->cut;
	return n;
}

/* The new stack becomes the kept one. Result: its node; 0: no memory in the depot. */
static inline __attribute__((always_inline)) uint32_t keep(struct thread_stack *t, const struct walk *w, uint32_t matched, uint32_t n)
{
	uint32_t parent = matched ? t->kept[matched - 1].node : 0;
	struct loaded *out = t->words + (matched ? t->kept[matched - 1].words_end : 0);
	uint32_t words = (uint32_t)(w->log - t->fresh_words), i = matched;
	for (uint32_t k = n; k--; i++) {
		struct kept *to = &t->kept[i];
		uint32_t from = t->fresh[k].words_end;
		to->frame = t->fresh[k].frame;
		to->switches = w->switches - t->fresh[k].switches;
		to->node = depot_child(parent, to->frame.pc);
		if (UNLIKELY(!to->node))
			return 0;
		parent = to->node;
		if (UNLIKELY(w->log_full || words - from > (size_t)(t->words + WORDS_MOST - out)))
			to->switches = UINT32_MAX; /* its words are not all here: never matched, nor is anything inside it */
		else
			for (const struct loaded *word = t->fresh_words + from, *stop = t->fresh_words + words; word < stop; word++)
				*out++ = *word;
		to->lowest = t->fresh[k].lowest;
		to->highest = t->fresh[k].highest;
		if (i) {
			const struct kept *outer = to - 1;
			to->lowest = outer->lowest < to->lowest ? outer->lowest : to->lowest;
			to->highest = outer->highest > to->highest ? outer->highest : to->highest;
			to->switches = outer->switches == UINT32_MAX ? UINT32_MAX : to->switches;
		}
		words = t->fresh[k].words_end;
		to->words_end = (uint32_t)(out - t->words);
	}
	return parent;
}

/* The innermost BACKTRACE_MOST of them, when new and known frames together are more. Nothing is remembered. */
static __attribute__((noinline)) uint32_t node_of_deep(const struct thread_stack *t, uint32_t matched, uint32_t n)
{
	uint32_t node = 0;
	for (uint32_t i = n + matched - BACKTRACE_MOST; i < matched; i++)
		node = depot_child(node, t->kept[i].frame.pc);
	while (n)
		node = depot_child(node, t->fresh[--n].frame.pc);
	return node;
}

BARE static __attribute__((noinline)) uint32_t plain_node(const void *caller)
{
	uintptr_t pcs[BACKTRACE_MOST];
	struct walk w = { .misses = 0 };
	struct frame f;
	bool cut = true;
	size_t n = 1;
	pcs[0] = (uintptr_t)caller;
	if (load_acquire(&rule_table) && capture_begin(&w, &f, caller))
		n = capture_rest(&w, &f, pcs, BACKTRACE_MOST, &cut);
	capture_count(&w, n, cut);
	uint32_t node = 0;
	while (n && (node = depot_child(node, pcs[n - 1])))
		n--;
	return node ? node : depot_child(0, (uintptr_t)caller);
}

static inline void count(uint64_t *field, uint64_t n) { store_relaxed(field, *field + n); }

BARE __attribute__((noinline)) uint32_t backtrace_here(const void *caller)
{
	struct thread_stack *t;
	if (UNLIKELY(!load_acquire(&rule_table)) || !(t = enter((uintptr_t)__builtin_frame_address(0))))
		return plain_node(caller);

	struct walk w;
	struct frame f;
	uint32_t matched = 0, n = 0, node = 0;
	bool cut = true;
	if (LIKELY(capture_begin(&w, &f, caller))) {
		w.log = t->fresh_words;
		w.log_end = t->fresh_words + WORDS_MOST;
		if (UNLIKELY(t->generation != w.generation))
			t->count = 0;
		n = walk_new(t, &w, &f, &matched, &cut);
		bool deep = n + matched > BACKTRACE_MOST;
		t->count = 0;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		node = UNLIKELY(deep) ? node_of_deep(t, matched, n) : keep(t, &w, matched, n);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		cut |= deep;
		t->cut = cut;
		t->generation = w.generation;
		/* Not remembered: one that is full, whose neighbour may end elsewhere; one that ended at memory that may be there next time. */
		t->count = node && n + matched < BACKTRACE_MOST && !(cut && w.refused) ? n + matched : 0;
	}
	struct backtrace_totals *c = &t->totals;
	count(&c->captures, 1);
	count(&c->frames, n + matched < BACKTRACE_MOST ? n + matched : BACKTRACE_MOST);
	count(&c->walked, n);
	count(&c->suffix_hits, matched != 0);
	if (UNLIKELY(w.misses | w.by_frame_pointer | cut)) {
		count(&c->rule_misses, w.misses);
		count(&c->frame_pointer, w.by_frame_pointer);
		count(&c->cut, cut);
	}
	leave(t);
	return LIKELY(node) ? node : depot_child(0, (uintptr_t)caller);
}

void capture_threads_add(struct backtrace_totals *t)
{
	for (const struct thread_stack *s = load_acquire(&all); s; s = s->next) {
		t->captures += load_relaxed(&s->totals.captures);
		t->frames += load_relaxed(&s->totals.frames);
		t->walked += load_relaxed(&s->totals.walked);
		t->suffix_hits += load_relaxed(&s->totals.suffix_hits);
		t->rule_misses += load_relaxed(&s->totals.rule_misses);
		t->frame_pointer += load_relaxed(&s->totals.frame_pointer);
		t->cut += load_relaxed(&s->totals.cut);
	}
}

void capture_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (const struct thread_stack *s = load_acquire(&all); s; s = s->next)
		fn((uintptr_t)s, (uintptr_t)s + mapped_size());
}

void backtrace_thread_exit(void)
{
	struct thread_stack *t = own;
	own = GONE;
	if ((uintptr_t)t > (uintptr_t)GONE)
		store_release(&t->owned, 0);
}

void backtrace_forked(void)
{
	for (struct thread_stack *t = load_acquire(&all); t; t = t->next)
		if (t != own)
			store_relaxed(&t->owned, 0);
}
