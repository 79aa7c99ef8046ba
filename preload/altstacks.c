/*
 * Which thread has which alternate stack, as the wrapper of sigaltstack saw it.
 *
 * Two threads may have one: varnishd gives all of its threads the same, for a handler of SIGSEGV that ends the process. A stop runs its
 * handler in all threads at once, and there one frame would lie over the other. So a thread whose stack is another's too gets one of ours
 * (altstack.c).
 *
 * Each thread tells before it looks, seq_cst: of two that register at the same time at least one sees the other. An entry ends with its
 * thread's end or its next registration; one whose thread is gone without a word (_exit of a raw thread, fork) is dropped when it is in the way.
 */
#include "preload/altstacks.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "os/os.h"
#include "os/syscall.h"
#include "threads/threads.h"

enum { ENTRIES = 2048 };

static LARGE struct entry {
	uintptr_t low, high;  /* atomic */
	uint32_t tid;         /* atomic: 0 free; the thread writes the rest, others read it */
	uint32_t lost;        /* atomic, any thread: what lies there is no stack any more */
	uint32_t held;        /* atomic, any thread: so many calls may make it so */
	bool of_module;
} entries[ENTRIES];
static uint32_t used;         /* atomic: entries below it were taken once */
static _Thread_local uint32_t own __attribute__((tls_model("initial-exec"))); /* index + 1; 0: none */

static bool mine(uint32_t tid) { return own && __atomic_load_n(&entries[own - 1].tid, __ATOMIC_SEQ_CST) == tid; }

/* false: the table is full. */
static bool claim(uint32_t tid)
{
	for (uint32_t i = 0; !mine(tid) && i < ENTRIES; i++) {
		uint32_t none = 0;
		if (!__atomic_compare_exchange_n(&entries[i].tid, &none, tid, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		own = i + 1;
		for (uint32_t n = load_relaxed(&used); n < own && !cas(&used, &n, own);)
			;
	}
	return mine(tid);
}

/* The heap asks only about what lies between the lowest and the highest of its own. */
static void reach(uintptr_t low, uintptr_t high)
{
	if (!arena_contains(low))
		return;
	for (uintptr_t l = load_relaxed(&heap_altstacks.low); (!l || low < l) && !cas(&heap_altstacks.low, &l, low);)
		;
	for (uintptr_t h = load_relaxed(&heap_altstacks.high); high > h && !cas(&heap_altstacks.high, &h, high);)
		;
}

static bool gone(uint32_t tid) { return syscall3(SYS_tgkill, os_pid(), (long)tid, 0) == -ESRCH; }

/* Has a living thread but `tid` some of [low, high)? `each` is called for its entry. */
static bool others(uintptr_t low, uintptr_t high, uint32_t tid, void (*each)(struct entry *))
{
	bool found = false;
	for (uint32_t i = 0, n = __atomic_load_n(&used, __ATOMIC_SEQ_CST); i < n; i++) {
		struct entry *e = &entries[i];
		uint32_t other = __atomic_load_n(&e->tid, __ATOMIC_SEQ_CST);
		if (!other || other == tid || __atomic_load_n(&e->low, __ATOMIC_SEQ_CST) >= high
		    || __atomic_load_n(&e->high, __ATOMIC_SEQ_CST) <= low)
			continue;
		if (gone(other)) {
			cas(&e->tid, &other, 0);
			continue;
		}
		found = true;
		if (each)
			each(e);
	}
	return found;
}

static void renew(struct entry *e)
{
	store_relaxed(&e->lost, 0);
	store_relaxed(&e->held, 0);
}

bool altstacks_tell(uintptr_t low, uintptr_t high)
{
	const uint32_t tid = (uint32_t)os_tid();
	if (!claim(tid))
		return true; /* nobody knows: as if it were shared */
	reach(low, high);
	struct os_module module;
	renew(&entries[own - 1]);
	store_relaxed(&entries[own - 1].of_module, os_module_of(low, &module));
	__atomic_store_n(&entries[own - 1].low, low, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entries[own - 1].high, high, __ATOMIC_SEQ_CST);
	return others(low, high, tid, NULL);
}

void altstacks_drop(void)
{
	const uint32_t tid = (uint32_t)os_tid();
	if (!mine(tid))
		return;
	store_relaxed(&entries[own - 1].high, 0);
	renew(&entries[own - 1]);
	__atomic_store_n(&entries[own - 1].tid, 0, __ATOMIC_SEQ_CST);
	own = 0;
}

bool altstacks_within(uintptr_t low, uintptr_t high)
{
	bool any = false;
	for (uint32_t i = 0, n = load_acquire(&used); i < n && !any; i++)
		any = load_relaxed(&entries[i].low) < high && load_relaxed(&entries[i].high) > low;
	return any;
}

static uint32_t any_lost; /* atomic: 1: some entry was lost or held once; 2: for ever */

static void lose(struct entry *e)
{
	__atomic_store_n(&e->lost, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&any_lost, 1, __ATOMIC_SEQ_CST);
}

void altstacks_never(void)
{
	__atomic_fetch_or(&any_lost, 2, __ATOMIC_SEQ_CST);
	threads_stop_settled(load_relaxed(&self.busy) != 0);
}

void altstacks_lose(void)
{
	if (mine((uint32_t)os_tid()))
		lose(&entries[own - 1]);
	else
		altstacks_never(); /* the table is full */
}

static void leave_frame(struct entry *e) { threads_leave_frame(load_relaxed(&e->tid)); }

/* A stop in flight waits for this thread, too; and its frames may still be there when it is over. */
static void settle(uintptr_t low, uintptr_t high, uint32_t tid)
{
	threads_stop_settled(load_relaxed(&self.busy) != 0);
	others(low, high, tid, leave_frame);
}

void altstacks_leave(uintptr_t low, uintptr_t high)
{
	const uint32_t tid = (uint32_t)os_tid();
	if (others(low, high, tid, lose))
		settle(low, high, tid);
}

static void hold(struct entry *e)
{
	__atomic_fetch_add(&e->held, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&any_lost, 1, __ATOMIC_SEQ_CST);
}

bool altstacks_hold(uintptr_t low, uintptr_t high)
{
	const bool held = altstacks_within(low, high) && others(low, high, 0, hold);
	if (held)
		settle(low, high, 0);
	return held;
}

static bool is_there(const struct entry *e)
{
	struct os_module module;
	bool there = !load_relaxed(&e->of_module) || os_module_of(load_relaxed(&e->low), &module);
	for (uintptr_t p = align_down(load_relaxed(&e->low), OS_PAGE), high = load_relaxed(&e->high); p < high && there; p += OS_PAGE)
		there = os_readable(p);
	return there;
}

void altstacks_look(uintptr_t low, uintptr_t high)
{
	for (uint32_t i = 0, n = load_acquire(&used); i < n; i++) {
		struct entry *e = &entries[i];
		uint32_t held = load_relaxed(&e->low) < high && load_relaxed(&e->high) > low ? load_relaxed(&e->held) : 0;
		if (held && !is_there(e))
			altstack_leaves(load_relaxed(&e->low), load_relaxed(&e->high));
		while (held && !cas(&e->held, &held, held - 1)) /* its thread may have another by now, which is not held */
			;
	}
}

bool altstacks_ended(void) { return load_relaxed(&any_lost) & 2; }

bool altstacks_lost(void)
{
	uint32_t some = __atomic_load_n(&any_lost, __ATOMIC_SEQ_CST);
	bool lost = some & 2;
	for (uint32_t i = 0, n = some ? load_acquire(&used) : 0; i < n && !lost; i++) {
		uint32_t tid = load_acquire(&entries[i].tid);
		lost = tid && (load_relaxed(&entries[i].lost) || load_relaxed(&entries[i].held)) && !gone(tid);
	}
	return lost;
}

void altstacks_forked(void)
{
	for (uint32_t i = 0, n = load_relaxed(&used); i < n; i++)
		if (i + 1 != own) {
			store_relaxed(&entries[i].high, 0);
			store_relaxed(&entries[i].tid, 0);
		}
	if (own && entries[own - 1].tid)
		store_relaxed(&entries[own - 1].tid, (uint32_t)os_tid());
}
