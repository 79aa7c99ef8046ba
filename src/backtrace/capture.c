/*
 * A call stack as depot node, cheaply: walk only as far as the stack differs from the one before.
 *
 * Undoing frames is a function of the first frame's registers and of the words that it reads. So each thread keeps its previous
 * stack: every frame as it was found, and the words that undoing it read.
 *
 *   1. skip our own frames: their chain of return addresses was met before, so where it leads is known (own.h)
 *   2. walk the new stack, innermost frame first, beside the old one
 *   3. a frame that equals an old one: compare the words that undoing the old frames from there on read
 *   4. all the same: the rest is the old rest, and so is its depot node. Only the new frames are children to be looked up
 *   5. keep the new frames in place of those that they replace
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
 * forgotten but for its node, and words further out than BELIEVED frames are not compared again: nobody sees those frames.
 *
 * A handler on top of a capture finds `in_use` and takes the plain walk. One that leaves by longjmp leaves in_use behind; the next
 * capture sees that its stack pointer is above. `count` is 0 while `kept` is rewritten, so what was left half done is nothing.
 */
#include "backtrace/backtrace.h"
#include "backtrace/capture.h"
#include "backtrace/depot.h"
#include "backtrace/known.h"
#include "backtrace/modules.h"
#include "backtrace/own.h"
#include "base/fault.h"
#include "heap/self.h"
#include "os/os.h"

#include <string.h>

enum {
	KEPT = 2048,
	BELIEVED = 2 * BACKTRACE_MOST
};

/* A frame, and what undoing it reads. */
struct kept {
	uintptr_t sp, pc, fp;
	uint32_t node;                 /* kept: of the depot. fresh: its place in `known` */
	uint32_t need;                 /* fp is part of what is further out; kept only */
	uintptr_t pc_at, pc_word;      /* the return address was read here. Nothing was read: the address of `nothing`, and 0 */
	uintptr_t fp_at, fp_word;      /* likewise the caller's fp */
};

/* Its thread writes everything but `owned` and `next`. */
struct thread_stack {
	struct thread_stack *next;     /* set before it is in the list */
	uint32_t owned;                /* atomic */
	uint32_t in_use;               /* own thread and its handlers */
	uintptr_t in_use_sp;
	uint32_t count;                /* of kept; 0: nothing is remembered */
	uint32_t generation;           /* of kept and known */
	uint32_t least;                /* kept[0, least) are the end of no other stack: further out are frames that are not compared, or none */
	bool cut;                      /* the kept stack was */
	uintptr_t nothing;             /* 0, for frames that read no such word */
	uintptr_t top;                 /* above all words that undoing the kept ones read */
	struct backtrace_totals totals; /* own thread writes, anyone reads */
	struct own_paths paths;
	struct known known[KNOWN];
	struct kept kept[KEPT];
	struct kept fresh[KEPT];
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

/* ---- step 2 ---- */

/* Are the words that undoing the kept frames [0, *frames) read still the same? false: those of the last of *frames, which is less now, are not. */
BARE static inline __attribute__((always_inline)) bool verified(const struct thread_stack *t, uint32_t *frames, struct walk *w, uint32_t *good)
{
	uint32_t first = *good;
	if (fault(FAULT_no_suffix_check) || first >= *frames)
		return true;
	if (UNLIKELY(t->top > w->high && !walk_reach(w, t->top - sizeof(uintptr_t)))) {
		*frames = 0;
		return false;
	}
	if (UNLIKELY(*frames - first > BELIEVED))
		first = *frames - BELIEVED;
	const struct kept *k = t->kept + first, *end = t->kept + *frames;
	for (; end - k >= 2; k += 2) { /* no branch a word */
		uintptr_t differ = *(const word_t *)k[0].pc_at ^ k[0].pc_word;
		differ |= *(const word_t *)k[0].fp_at ^ k[0].fp_word;
		differ |= *(const word_t *)k[1].pc_at ^ k[1].pc_word;
		differ |= *(const word_t *)k[1].fp_at ^ k[1].fp_word;
		if (UNLIKELY(differ))
			break;
	}
	while (k < end && *(const word_t *)k->pc_at == k->pc_word && *(const word_t *)k->fp_at == k->fp_word)
		k++;
	*good = *frames;
	if (LIKELY(k == end))
		return true;
	*good = *frames = (uint32_t)(k - t->kept);
	return false;
}

enum { ODD = STEP_CUT + 1, BRIEF_MOST = 48 };

/* A frame that is not everyday's. *f goes on to its caller; *to: what was read. */
BARE static __attribute__((noinline)) int climb_odd(struct thread_stack *t, struct walk *w, struct kept *f, const struct known *k, struct kept *to)
{
	to->pc_at = to->fp_at = (uintptr_t)&t->nothing;
	to->pc_word = to->fp_word = 0;
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
	uint32_t old = t->count > least ? t->count : least, n = 0, good = 0;
	uintptr_t sp = first->sp, pc = first->pc, fp = first->fp;
	struct kept *to = t->fresh;
	for (;;) {
		const struct kept *k = t->kept + old - 1, *stop = t->kept + least - 1;
		while (k != stop && k->sp < sp)
			k--;
		old = (uint32_t)(k - t->kept) + 1;
		if (k != stop && k->sp == sp && k->pc == pc && (k->fp == fp || !k->need)) {
			if (LIKELY(verified(t, &old, w, &good)))
				break;
			old = old > least ? old : least;
			continue; /* with one that is further out */
		}
		if (UNLIKELY(n == KEPT)) {
			*end = STEP_CUT;
			old = 0;
			break;
		}
		const struct known *rule = known_at(t->known, w, pc);
		to->sp = sp;
		to->pc = pc;
		to->fp = fp;
		to->node = (uint32_t)(rule - t->known);
		uintptr_t cfa = (rule->flags & KNOWN_BY_FP ? fp : sp) + (uintptr_t)(intptr_t)rule->cfa;
		uintptr_t pc_at = cfa + (uintptr_t)((MACHINE_LINK < 0 ? -1 : (intptr_t)rule->ra) * 8), fp_at = cfa + (uintptr_t)((intptr_t)rule->fp * 8);
		if (UNLIKELY(rule->flags & ~(KNOWN_BY_FP | KNOWN_SAVES_FP) || cfa > w->high || cfa <= sp || cfa & (sizeof cfa - 1)
		             || (MACHINE_LINK >= 0 && pc_at < sp) || fp_at < sp)) {
			bool again = !(rule->flags & (KNOWN_OUTERMOST | KNOWN_NO_RULE | KNOWN_ODD));
			struct kept f = { .sp = sp, .pc = pc, .fp = fp };
			int step = climb_odd(t, w, &f, rule, to);
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

/* The new stack becomes the kept one. Result: its node; 0: no memory in the depot. */
static inline __attribute__((always_inline)) uint32_t keep(struct thread_stack *t, uint32_t *matched, uint32_t n)
{
	uint32_t parent = 0, need = 0;
	if (LIKELY(*matched)) {
		parent = t->kept[*matched - 1].node;
		need = t->kept[*matched - 1].need;
		if (UNLIKELY(*matched + n > KEPT)) {
			uint32_t least = *matched + n - KEPT, drop = *matched < KEPT / 2 ? *matched : KEPT / 2;
			drop = drop < least ? least : drop;
			memmove(t->kept, t->kept + drop, (*matched - drop) * sizeof *t->kept);
			*matched -= drop;
			t->least = fault(FAULT_no_least) ? 0 : BACKTRACE_MOST;
		}
	} else {
		const struct kept *outermost = &t->fresh[n - 1];
		t->top = (outermost->pc_at > outermost->fp_at ? outermost->pc_at : outermost->fp_at) + sizeof(uintptr_t);
		if (outermost->pc_at == (uintptr_t)&t->nothing)
			t->top = n > 1 ? outermost->sp : 0;
	}
	struct kept *to = &t->kept[*matched];
	for (const struct kept *from = &t->fresh[n]; from-- > t->fresh; to++) {
		const struct known *k = &t->known[from->node];
		*to = *from;
		to->node = depot_child_quick(parent, from->pc);
		if (UNLIKELY(!to->node))
			return 0;
		parent = to->node;
		/* A place that another call site has taken meanwhile tells nothing: then both are needed. */
		unsigned flags = LIKELY(k->pc == from->pc) ? k->flags : KNOWN_BY_FP | KNOWN_NO_RULE;
		if (!need && !(flags & KNOWN_NO_RULE)) {
			to->fp_at = (uintptr_t)&t->nothing;
			to->fp_word = 0;
		}
		need = flags & (KNOWN_BY_FP | KNOWN_NO_RULE) || (need && !(flags & KNOWN_SAVES_FP));
		to->need = need;
	}
	return parent;
}

/* ---- all of it ---- */

BARE static __attribute__((noinline)) uint32_t plain_node(const void *caller, uintptr_t *pcs, size_t most)
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

/* On top of a capture, or without a thread's memory: with so many frames as a small stack has room for. */
BARE static __attribute__((noinline)) uint32_t brief_node(const void *caller)
{
	uintptr_t pcs[BRIEF_MOST];
	return plain_node(caller, pcs, BRIEF_MOST);
}

static inline void count(uint64_t *field, uint64_t n) { store_relaxed(field, *field + n); }

BARE __attribute__((noinline)) uint32_t backtrace_here(const void *caller)
{
	struct thread_stack *t;
	struct walk w;
	struct frame f;
	capture_here(&w, &f); /* no __builtin_frame_address here: a frame that counts from fp has no path */
	if (UNLIKELY(!load_acquire(&rule_table)) || !(t = enter(f.reg[RULE_SP])))
		return brief_node(caller);

	struct kept first = { .pc = (uintptr_t)caller };
	uint32_t matched = 0, n = 0, node = 0;
	int end = STEP_ON;
	if (UNLIKELY(t->generation != w.generation)) {
		t->count = 0;
		memset(t->known, 0, sizeof t->known);
		t->generation = w.generation;
	}
	if (LIKELY(own_skip(&t->paths, &w, &f, caller, &first.sp, &first.fp)))
		n = walk_new(t, &w, &first, &matched, &end);
	if (UNLIKELY(!(n + matched) || end == ODD)) {
		t->count = 0; /* so `kept` is free */
		node = plain_node(caller, (uintptr_t *)t->kept, BACKTRACE_MOST);
		leave(t);
		return node;
	}
	t->count = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	uint32_t frames = n + matched;
	node = keep(t, &matched, n);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!matched) {
		t->cut = end == STEP_CUT;
		t->least = n == KEPT ? BACKTRACE_MOST : 0;
	}
	/* Not remembered: a stack that ended at memory that may be there next time. */
	t->count = node && !(end == STEP_CUT && w.refused) ? n + matched : 0;
	struct backtrace_totals *c = &t->totals;
	count(&c->captures, 1);
	count(&c->frames, frames);
	count(&c->walked, n);
	count(&c->suffix_hits, end == STEP_ON);
	if (UNLIKELY(w.misses | w.by_frame_pointer | t->cut)) {
		count(&c->rule_misses, w.misses);
		count(&c->frame_pointer, w.by_frame_pointer);
		count(&c->cut, t->cut);
	}
	leave(t);
	return LIKELY(node) ? node : depot_child(0, (uintptr_t)caller);
}

void capture_threads_add(struct backtrace_totals *t)
{
	for (const struct thread_stack *s = load_acquire(&all); s; s = s->next)
		capture_add(t, &s->totals);
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
	rules_forked();
}
