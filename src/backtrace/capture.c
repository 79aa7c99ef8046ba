/*
 * A call stack as depot node, cheaply. Loops allocate from the same stacks again, and other captures share most of their frames with
 * the one before. So each thread remembers what it met (thread_stack.h):
 *
 *   1. guess a tail: the one that came after the last one, last time; if it began at other registers, the one that last began at these
 *   2. are its words as they were, from our own frames on, and does it still join the kept stack?
 *   3. and the words of the kept stack, from there on? Then its node is this capture's: nothing was walked, nothing changes
 *   4. else look for a tail of which that is so: where do our own frames lead to (own.h), and which set do the next ones tell?
 *   5. else follow.c walks until it meets the kept stack, keeps the new one and notes a tail
 *
 * Must hold: what follow.c says. Tails are looked at on the thread's ordinary stack alone, whose end is known.
 *
 * A handler on top of a capture finds `in_use` and takes the plain walk. One that leaves by longjmp leaves in_use behind; the next
 * capture sees that its stack pointer is above.
 */
#include "backtrace/capture.h"
#include "backtrace/depot.h"
#include "backtrace/shed.h"
#include "backtrace/thread_stack.h"
#include "base/fault.h"
#include "heap/self.h"
#include "os/os.h"

static struct thread_stack *all;       /* atomic: only ever grows; those of dead threads are taken over */
static _Thread_local struct thread_stack *own __attribute__((tls_model("initial-exec")));
static struct thread_stack *const GONE = (struct thread_stack *)1; /* the thread is ending */

static bool wiped;                     /* the memory of a child's first thread is, and none of it was touched */

enum { BRIEF_MOST = 48 };

static size_t mapped_size(void) { return align_up(sizeof(struct thread_stack), 4096); }

/* What the first captures use, before it is touched: page by page would take longer, and few children run for long. */
static void fill(struct thread_stack *t)
{
	void *const first[] = { t->kept, t->reads, t->fresh };
	os_fill((uintptr_t)&t->generation, (uintptr_t)t->tails + 4096 - (uintptr_t)&t->generation, true);
	for (unsigned i = 0; i < NELEM(first); i++)
		os_fill(align_down((uintptr_t)first[i], 4096), 4096, true);
}

static __attribute__((noinline)) struct thread_stack *take(void)
{
	if (own == GONE)
		return NULL;
	for (struct thread_stack *t = load_acquire(&all); t; t = t->next) {
		uint32_t nobody = 0;
		if (!load_relaxed(&t->owned) && cas(&t->owned, &nobody, 1)) {
			thread_stack_drop(t); /* or tails joined to it would seem to hold */
			t->in_use = 0;
			return own = t;
		}
	}
	struct thread_stack *t = os_map(mapped_size());
	if (!t)
		return NULL;
	os_wipeonfork((uint8_t *)t + offsetof(struct thread_stack, generation), mapped_size() - offsetof(struct thread_stack, generation));
	t->owned = 1;
	os_fill((uintptr_t)t, offsetof(struct thread_stack, known) + KNOWN_FEW * sizeof *t->known, true);
	fill(t);
	t->next = load_acquire(&all);
	while (!cas(&all, &t->next, t))
		;
	return own = t;
}

void thread_stack_more(struct thread_stack *t)
{
	const bool some = !t->more_sets;
	const uint32_t from = (t->more_sets | TAIL_FEW) + 1, to = some ? TAIL_SOME + 1 : TAIL_SETS;
	os_fill((uintptr_t)t->tails[from], (to - from) * sizeof t->tails[0], true);
	if (!some)
		os_fill((uintptr_t)(t->known + KNOWN_FEW), (KNOWN - KNOWN_FEW) * sizeof *t->known, !t->of_child); /* a child reads its parent's, too */
	t->more_sets = to - 1;
}

/* The child's first capture. */
static __attribute__((noinline)) void fill_wiped(struct thread_stack *t)
{
	wiped = false;
	fill(t);
}

/* Is t in use, and not by a capture that a handler left? */
static inline bool is_used(const struct thread_stack *t, uintptr_t sp)
{
	return t->in_use && !(sp > t->in_use_sp && walk_on_own_stack(sp) && walk_on_own_stack(t->in_use_sp));
}

static inline void enter(struct thread_stack *t, uintptr_t sp)
{
	t->in_use_sp = sp;
	t->in_use = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void leave(struct thread_stack *t)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->in_use = 0;
}

/* The way through our own frames that fits; NULL: none that was noted. */
BARE static inline __attribute__((always_inline)) const struct own_path *way_of(struct thread_stack *t, uint32_t generation, uintptr_t sp, const void *caller)
{
	uint8_t *way = &t->way[((uintptr_t)caller * 0x9E3779B97F4A7C15ull) >> 58];
	const struct own_path *path = &t->paths.at[*way];
	if (UNLIKELY(!own_fits(path, generation, self.stack_high, sp, caller))) {
		path = own_way(&t->paths, generation, self.stack_high, sp, caller);
		*way = path ? (uint8_t)(path - t->paths.at) : *way;
	}
	return path;
}
_Static_assert(WAYS == 1 << (64 - 58), "the shift of way_of()");

/* Where tails of such a stack are: by the innermost frames, as far as their rules are at hand and simple. */
BARE static inline __attribute__((always_inline)) struct tail *tails_of(struct thread_stack *t, uintptr_t sp, uintptr_t pc)
{
	const struct known_table known = thread_stack_known(t);
	uintptr_t key = pc ^ sp << 20;
	for (unsigned i = 0; i < TAIL_FRAMES; i++) {
		const struct known *k = known_place(known.places, known.mask, pc);
		uintptr_t cfa = sp + (uintptr_t)(intptr_t)k->cfa, at = cfa + (uintptr_t)((MACHINE_LINK < 0 ? -1 : (intptr_t)k->ra) * 8);
		if (k->pc != pc || k->flags & ~KNOWN_SAVES_FP || at < sp || cfa > self.stack_high)
			break;
		sp = cfa;
		pc = machine_strip(*(const word_t *)at);
		key = (key << 13 | key >> 51) ^ pc;
	}
	return t->tails[(key * 0x9E3779B97F4A7C15ull) >> 58 & (t->more_sets | TAIL_FEW)];
}
_Static_assert(TAIL_SETS == 1 << (64 - 58), "the shift of tails_of()");

/* Does the kept stack begin with what the tail joined? The same stamp says: it does, and all that was read lies on this thread's stack. */
static __attribute__((noinline)) bool joins(struct thread_stack *t, struct tail *e)
{
	const struct kept *joined = &t->kept[e->join - 1];
	if (!walk_on_own_stack(e->here) || t->top > self.stack_high || e->join > t->count || e->join <= t->least || joined->sp != e->join_sp
	    || joined->node != e->join_node || (joined->fp != e->join_fp && joined->need))
		return false;
	e->stamp = t->stamp;
	return true;
}

/* Steps 2 and 3. */
BARE static inline __attribute__((always_inline)) bool tail_holds(struct thread_stack *t, struct tail *e, uintptr_t sp, uintptr_t fp, const void *caller)
{
	if (e->here != sp || e->pc != (uintptr_t)caller || (UNLIKELY(e->stamp != t->stamp) && !joins(t, e)))
		return false;
	const uint16_t *at = e->at;
	const uintptr_t *word = e->word, *end = word + e->blocks * 4;
	uintptr_t differ = (e->fp ^ fp) & e->by_fp;
	do {
		differ |= ((const word_t *)sp)[at[0]] ^ word[0];
		differ |= ((const word_t *)sp)[at[1]] ^ word[1];
		differ |= ((const word_t *)sp)[at[2]] ^ word[2];
		differ |= ((const word_t *)sp)[at[3]] ^ word[3];
		scalar(&differ);
		at += 4;
		word += 4;
	} while (word != end);
	if (differ && !fault(FAULT_no_tail_check))
		return false;
	return LIKELY(reads_same(t, t->reads + reads_from(t, e->join), t->reads + t->kept[e->join - 1].reads)) || fault(FAULT_no_suffix_check);
}

/* The stack of this capture is as e says. */
static inline __attribute__((always_inline)) uint32_t held(struct thread_stack *t, struct tail *e)
{
	struct backtrace_totals *c = &t->totals;
	thread_stack_count(&t->held, 1);
	thread_stack_count(&c->frames, e->frames);
	if (UNLIKELY(t->cut))
		thread_stack_count(&c->cut, 1);
	e->used = true;
	return e->node;
}

/* On top of a capture, or without a thread's memory: with so many frames as a small stack has room for. */
BARE static __attribute__((noinline)) uint32_t brief_node(const void *caller)
{
	uintptr_t pcs[BRIEF_MOST];
	return follow_plainly(caller, pcs, BRIEF_MOST);
}

/* Steps 4 and 5. */
BARE static __attribute__((noinline)) uint32_t look_further(struct thread_stack *t, uintptr_t sp, uintptr_t fp, const void *caller)
{
	uint32_t generation = walk_generation();
	const struct own_path *path = NULL;
	struct kept *first = &t->first;
	struct tail *set = NULL;
	first->pc = (uintptr_t)caller;
	if (LIKELY(t->generation == generation && walk_on_own_stack(sp) && (path = way_of(t, generation, sp, caller)))) {
		first->sp = sp + path->cfa;
		first->fp = own_program_fp(path, sp, fp);
		set = tails_of(t, first->sp, first->pc);
		for (struct tail *e = set; e < set + TAIL_WAYS; e++)
			if (tail_holds(t, e, sp, fp, caller)) {
				tail_is(t, e);
				return held(t, e);
			}
	}
	return follow(t, set, sp, path); /* in place of this frame */
}

BARE __attribute__((noinline)) uint32_t backtrace_here(const void *caller)
{
	uintptr_t sp, fp;
	struct thread_stack *t = own;
	machine_place(&sp, &fp);
	if (UNLIKELY((uintptr_t)t <= (uintptr_t)GONE) && !(load_acquire(&rule_table) && (t = take())))
		return brief_node(caller);
	if (UNLIKELY(wiped))
		fill_wiped(t);
	if (UNLIKELY(t->in_use) && is_used(t, sp))
		return brief_node(caller);
	enter(t, sp);
	uint32_t node;
	struct tail *e = tail_at(t, tail_at(t, t->last)->next);
	if (e->here != sp || e->pc != (uintptr_t)caller)
		e = tail_at(t, *recent_at(t, sp, (uintptr_t)caller));
	if (LIKELY(t->generation == walk_generation() && tail_holds(t, e, sp, fp, caller))) {
		t->last = tail_bytes(t, e);
		node = held(t, e);
	} else {
		node = look_further(t, sp, fp, caller);
	}
	leave(t);
	return node;
}

void capture_threads_add(struct backtrace_totals *t)
{
	for (const struct thread_stack *s = load_acquire(&all); s; s = s->next) {
		capture_add(t, &s->totals);
		t->captures += load_relaxed(&s->held);
		t->suffix_hits += load_relaxed(&s->held);
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

void backtrace_fork_prepare(void)
{
	struct thread_stack *t = own;
	if ((uintptr_t)t > (uintptr_t)GONE && UNLIKELY(t->in_use) && !t->kept_by_fork)
		t->kept_by_fork = os_keeponfork((uint8_t *)t + offsetof(struct thread_stack, generation), mapped_size() - offsetof(struct thread_stack, generation));
}

void backtrace_rest(void)
{
	struct thread_stack *t = own;
	const uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	backtrace_shed();
	if ((uintptr_t)t <= (uintptr_t)GONE || is_used(t, sp))
		return;
	enter(t, sp);
	thread_stack_drop(t);
	if (os_purge((uintptr_t)t->known, sizeof t->known))
		t->known_generation = 0; /* all is zero, and empty */
	if (os_purge((uintptr_t)t->tails, (uintptr_t)t + mapped_size() - (uintptr_t)t->tails))
		t->generation = t->more_sets = t->turned_out = 0; /* so is this */
	leave(t);
}

void backtrace_forked(void)
{
	wiped = (uintptr_t)own > (uintptr_t)GONE && !own->kept_by_fork;
	if (wiped && !own->of_child)
		own->of_child = true;
	for (struct thread_stack *t = load_acquire(&all); t; t = t->next)
		if (t != own)
			store_relaxed(&t->owned, 0);
	rules_forked();
	shed_forked();
}
