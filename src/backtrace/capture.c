/*
 * A call stack as depot node, cheaply. Loops allocate from the same stacks again, and other captures share most of their frames with
 * the one before. So each thread remembers what it met (thread_stack.h):
 *
 *   1. where do our own frames lead to (own.h)?
 *   2. a tail noted for that frame: are its words as they were, and does it still join the kept stack?
 *   3. and the words of the kept stack, from there on? Then its node is this capture's: nothing was walked, nothing changes
 *   4. else follow.c walks until it meets the kept stack, keeps the new one and notes the tail
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
	os_wipeonfork((uint8_t *)t + offsetof(struct thread_stack, generation), mapped_size() - offsetof(struct thread_stack, generation));
	t->owned = 1;
	t->next = load_acquire(&all);
	while (!cas(&all, &t->next, t))
		;
	return own = t;
}

/* What a child uses of its memory, more or less, before it is touched: page by page would take longer, and few children run for long. */
static __attribute__((noinline)) void fill(struct thread_stack *t)
{
	wiped = false;
	os_fill((uintptr_t)&t->generation, align_up((uintptr_t)(t->kept + 1) - (uintptr_t)&t->generation, 4096), true);
	os_fill(align_down((uintptr_t)t->reads, 4096), 4096, true);
	os_fill(align_down((uintptr_t)t->fresh, 4096), 4096, true);
}

/* Enters the thread's memory. NULL: a capture below us uses it, or there is none. */
static inline struct thread_stack *enter(uintptr_t sp)
{
	struct thread_stack *t = own;
	if (UNLIKELY((uintptr_t)t <= (uintptr_t)GONE) && !(t = take()))
		return NULL;
	if (UNLIKELY(wiped))
		fill(t);
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

/* Where the tail would be: by the innermost frames, as far as their rules are at hand and simple. */
BARE static inline __attribute__((always_inline)) struct tail *tail_of(struct thread_stack *t, uintptr_t sp, uintptr_t pc)
{
	uintptr_t key = pc ^ sp << 20;
	for (unsigned i = 0; i < TAIL_FRAMES; i++) {
		const struct known *k = known_place(t->known, pc);
		uintptr_t cfa = sp + (uintptr_t)(intptr_t)k->cfa, at = cfa + (uintptr_t)((MACHINE_LINK < 0 ? -1 : (intptr_t)k->ra) * 8);
		if (k->pc != pc || k->flags & ~KNOWN_SAVES_FP || at < sp || cfa > self.stack_high)
			break;
		sp = cfa;
		pc = machine_strip(*(const word_t *)at);
		key = (key << 13 | key >> 51) ^ pc;
	}
	return &t->tails[(key * 0x9E3779B97F4A7C15ull) >> 56];
}
_Static_assert(TAILS == 1 << (64 - 56), "the shift of tail_of()");

/* Steps 2 and 3, for the program's innermost frame with that stack and frame pointer. */
BARE static inline __attribute__((always_inline)) bool tail_holds(const struct thread_stack *t, const struct tail *e, uintptr_t sp, uintptr_t fp, const void *caller)
{
	const struct kept *joined = &t->kept[e->join - 1];
	if (e->sp != sp || e->pc != (uintptr_t)caller || !e->node || (e->fp != fp && e->need))
		return false;
	if (e->join > t->count || e->join <= t->least || joined->sp != e->join_sp || joined->node != e->join_node || (joined->fp != e->join_fp && joined->need))
		return false;
	const struct read *end = e->read + e->count, *kept_end = t->reads + joined->reads;
	if (t->top > self.stack_high || (!fault(FAULT_no_tail_check) && reads_differ(t, e->read, end) != end))
		return false;
	return fault(FAULT_no_suffix_check) || reads_differ(t, t->reads + reads_from(t, e->join), kept_end) == kept_end;
}

/* On top of a capture, or without a thread's memory: with so many frames as a small stack has room for. */
BARE static __attribute__((noinline)) uint32_t brief_node(const void *caller)
{
	uintptr_t pcs[BRIEF_MOST];
	return follow_plainly(caller, pcs, BRIEF_MOST);
}

BARE __attribute__((noinline)) uint32_t backtrace_here(const void *caller)
{
	uintptr_t sp, fp;
	struct thread_stack *t;
	machine_place(&sp, &fp);
	if (UNLIKELY(!load_acquire(&rule_table)) || !(t = enter(sp)))
		return brief_node(caller);
	uint32_t node, generation = walk_generation();
	const struct own_path *path = NULL;
	struct kept first = { .pc = (uintptr_t)caller };
	struct tail *e = t->tails;
	if (LIKELY(t->generation == generation && walk_on_own_stack(sp) && (path = way_of(t, generation, sp, caller)))) {
		first.sp = sp + path->cfa;
		first.fp = own_program_fp(path, sp, fp);
		e = tail_of(t, first.sp, first.pc);
	}
	if (path && tail_holds(t, e, first.sp, first.fp, caller)) {
		struct backtrace_totals *c = &t->totals;
		node = e->node;
		thread_stack_count(&c->captures, 1);
		thread_stack_count(&c->frames, e->frames + e->join);
		thread_stack_count(&c->suffix_hits, 1);
		if (UNLIKELY(t->cut))
			thread_stack_count(&c->cut, 1);
	} else {
		node = follow(t, e, sp, path, &first);
	}
	leave(t);
	return node;
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

void backtrace_fork_prepare(void)
{
	struct thread_stack *t = own;
	if ((uintptr_t)t > (uintptr_t)GONE && UNLIKELY(t->in_use) && !t->kept_by_fork)
		t->kept_by_fork = os_keeponfork((uint8_t *)t + offsetof(struct thread_stack, generation), mapped_size() - offsetof(struct thread_stack, generation));
}

void backtrace_rest(void)
{
	struct thread_stack *t = (uintptr_t)own > (uintptr_t)GONE ? enter((uintptr_t)__builtin_frame_address(0)) : NULL;
	backtrace_shed();
	if (!t)
		return;
	t->count = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (os_purge((uintptr_t)t->tails, (uintptr_t)t + mapped_size() - (uintptr_t)t->tails))
		t->generation = 0; /* all is zero, and empty */
	leave(t);
}

void backtrace_forked(void)
{
	wiped = (uintptr_t)own > (uintptr_t)GONE && !own->kept_by_fork;
	for (struct thread_stack *t = load_acquire(&all); t; t = t->next)
		if (t != own)
			store_relaxed(&t->owned, 0);
	rules_forked();
	shed_forked();
}
