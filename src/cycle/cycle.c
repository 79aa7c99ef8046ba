/*
 * The cycle: finds what the program lost, and recycles it.
 *
 *   1. Start. A refill noticed growth (pace.c), or somebody asked. The thread takes the collect lock by trying, never by
 *      waiting, blocks all signals and moves to the collector's own stack.
 *   2. Stop. Every other thread parks outside the heap's slow paths (src/threads). The stamp advances.
 *   3. Mark. Slots on alloc lists are live; roots (src/roots) are given to the marker (src/mark), which follows them.
 *   4. Judge. What is allocated or condemned and not marked goes into the dead set; marks are cleared.
 *   5. Resume. The program runs.
 *   6. Verdict (verdict.c), by CAS: allocated becomes condemned, condemned long enough becomes recycled. Large blocks go back
 *      to the arena; empty spans go back after the next stop.
 *   7. End (cycle_end, the one way out): pace, statistics, signals, lock.
 *
 * Law 8: an incomplete view ends the cycle between 2 and 5 without a verdict. Condemned blocks stay condemned then: nothing
 * ages by a cycle that did not complete, because ages count stamps and the stamp advances only with a complete mark.
 *
 * The collector's stack is 256 KiB with a guard page, mapped before the first cycle. Everything from 2 to 5 makes raw system
 * calls only and takes no lock that a stopped thread could hold.
 */
#include "cycle/audit.h"
#include "cycle/cycle.h"
#include "cycle/cycle_parts.h"
#include "cycle/look.h"
#include "cycle/pace.h"
#include "cycle/touch.h"
#include "cycle/verdict.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "heap/sites.h"
#include "heap/veil.h"
#include "mark/mark.h"
#include "roots/roots.h"
#include "threads/threads.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

enum { STACK = 256 << 10, STACK_USED = 12 << 10 /* by most cycles */, COLLECT_TRIES = 20, WAIT_NS = 200000, WAIT_SLICES = 500 };

static struct lock collect_lock = LOCK_INIT(RANK_COLLECT);
static void *stack_base;       /* mapped once; its lowest page is a guard */
static struct dead_set dead;   /* under collect_lock; its mapping is kept between cycles */
static int disabled;           /* atomic */
static bool running;           /* atomic: cycles may start at all */
EACH_FORK static bool forking; /* atomic: collect_lock is held by a fork */

struct attempt {
	enum abort_reason reason;
	struct verdict verdict;
	const struct cycle_look *look; /* NULL, or who wants to see all blocks instead of a verdict */
	uint64_t cpu_ns;
};

/* ---- steps 2 to 4, the world stopped ---- */

/* Spans that are mostly dead belong to nobody from here on: eight threads that take turns would else hoard eight times what
 * one of them needs. */
static void share_dying(void)
{
	size_t at = 0;
	for (const struct dead_span *d; options.mode == MODE_COLLECT && (d = dead_next(&dead, &at));) {
		uint32_t count = 0;
		for (uint32_t i = 0; i < (d->slots + 63) / 64; i++)
			count += (uint32_t)__builtin_popcountll(d->bits[i]);
		if (count >= d->slots / 2)
			heap_disown(d->span);
	}
}

static enum abort_reason mark_and_judge(void)
{
	uint64_t root_bytes = 0;
	enum abort_reason reason;
	if (!mark_begin())
		return ABORT_NO_MEMORY;
	if (!mark_cached()) {
		mark_abandon();
		mark_end();
		return ABORT_CORRUPT_LIST;
	}
	reason = roots_mark(&root_bytes);
	mark_drain();
	if (reason == ABORT_NONE && !mark_complete())
		reason = ABORT_ROOT_UNREADABLE;
	if (reason != ABORT_NONE && !fault(FAULT_law8_ignore_abort)) {
		mark_abandon();
		mark_end();
		return reason;
	}
	if (options.verify) {
		size_t wrong = mark_verify();
		if (wrong)
			die("verify=1: %zu edges from marked blocks lead to unmarked ones: the marker is wrong: report this", wrong);
	}
	uint8_t stamp = fault(FAULT_law10_skip_end) ? arena.stamp : heap_advance_stamp();
	bool room = mark_emit(&dead, stamp);
	if (room)
		share_dying();
	struct mark_totals t;
	mark_totals(&t);
	mark_end();
	stats.marked_blocks = t.blocks;
	stats.marked_bytes = t.bytes;
	stats.root_bytes = root_bytes;
	return room ? ABORT_NONE : ABORT_NO_MEMORY;
}

/* ---- step 7 ---- */

/* The one reason that lasts, told once: a table of what the kernel holds has no room. */
static void tell_full(void)
{
	static bool told; /* under collect_lock */
	if (!told)
		say("more pointers stand in pipes, sockets, queues and epoll sets than can be noted: nothing is recycled until there are fewer: "
		    "inflight= is how many seconds one counts, 0 looks for none");
	told = true;
}

static void cycle_end(struct attempt *a)
{
	if (a->reason != ABORT_NONE) {
		stats_add(&stats.aborted[a->reason], 1);
		pace_aborted(a->cpu_ns);
		if (a->reason == ABORT_TABLE_FULL)
			tell_full();
		if (options.verbosity)
			say("cycle given up: %s: nothing is recycled: it is tried again later", abort_names[a->reason]);
		return;
	}
	const struct verdict *v = &a->verdict;
	stats_add(&stats.cycles, 1);
	if (!a->look)
		stats_add(&stats.judged_blocks, stats.marked_blocks + v->dead_blocks);
	stats_add(&stats.condemned_blocks, v->condemned_blocks);
	stats_add(&stats.condemned_bytes, v->condemned_bytes);
	stats_add(&stats.recycled_blocks, v->recycled_blocks);
	stats_add(&stats.recycled_bytes, v->recycled_bytes);
	pace_completed(a->cpu_ns, stats.marked_bytes, v->condemned_blocks || v->recycled_blocks);
	if (options.verbosity)
		say("cycle %lu: %lu bytes alive in %lu blocks, %lu bytes condemned, %lu recycled, %lu us of CPU", stats.cycles,
		    stats.marked_bytes, stats.marked_blocks, v->condemned_bytes, v->recycled_bytes, a->cpu_ns / 1000);
}

/* ---- steps 2 to 6, on the collector's stack ---- */

static bool thread_exists(int tid)
{
	for (size_t i = 0, n = threads_count(); i < n; i++)
		if (threads_root(i)->tid == tid)
			return true;
	return false;
}

static void judge(void *arg)
{
	struct attempt *a = arg;
	a->reason = a->look ? look_in_stop(a->look) : mark_and_judge();
}

/* A page that was listed as memory and can't be loaded is copied from the next try on, which is at once: what the cycle began is dropped. */
static void judge_caught(struct attempt *a)
{
	enum { TRIES = 8 };
	uintptr_t at;
	for (unsigned tries = 0; !threads_catch(judge, a, &at); tries++) {
		mark_fear(at);
		stats_add(&stats.caught, 1);
		if (a->look)
			look_dropped(a->look);
		else
			mark_abandon();
		roots_dropped();
		mark_end();
		a->reason = ABORT_ROOT_UNREADABLE;
		if (tries + 1 == TRIES)
			return;
	}
}

static void run_stopped(void *arg)
{
	struct attempt *a = arg;
	uint64_t cpu = os_thread_cpu_ns();
	cycle_watch("before the stop");
	uint64_t began = os_now_ns();
	a->reason = threads_stop();
	if (a->reason == ABORT_NONE) {
		os_calm_begin();
		touch_check();
		audit_search_touched();
		heap_reap(thread_exists);
		heap_collect_empty();
		judge_caught(a);
		if (veil_started())
			(a->reason == ABORT_NONE ? touch_veil : touch_lift)();
		os_calm_end();
		threads_resume();
		stats_pause(os_now_ns() - began);
		heap_release_empty();
	}
	if (a->reason == ABORT_NONE && !a->look)
		verdict_apply(&dead, &a->verdict);
	cycle_watch("after the verdict");
	a->cpu_ns = os_thread_cpu_ns() - cpu;
}

static ANSWER(0) uint8_t answers[16];

/* What the first cycle touches, before it does. */
static void fill_for_first(bool report)
{
	if (os_code.report_end > os_code.first_end)
		os_fill(os_code.first_end, os_code.report_end - os_code.first_end, false);
	if (os_code.end) /* as the library is linked */
		os_fill(align_down((uintptr_t)answers, OS_PAGE), ANSWERS_USED, true);
	/* A page each for its tables: tasks 3, maps 2, ranges 2, marker 1, inner pointers that are set aside 1. */
	os_map_soon((report ? 9 : 8) * OS_PAGE);
}

static bool stack_ready(void)
{
	if (!stack_base) {
		stack_base = os_map(STACK);
		if (!stack_base)
			return false;
		os_guard(stack_base, OS_PAGE);
		os_fill((uintptr_t)stack_base + STACK - STACK_USED, STACK_USED, true);
		roots_exclude((uintptr_t)stack_base, (uintptr_t)stack_base + STACK);
	}
	return true;
}

/* The collect lock is held with every signal blocked from before it is taken until after it is dropped: signals that came in during
 * a cycle are delivered the moment they are unblocked, and a handler that forks would wait for a lock of its own thread,
 * one that leaves by longjmp would keep it for ever. Who waits does so unblocked, because the holder must be able to stop it. */
static bool collect_try(uint64_t *mask)
{
	if (!threads_block_signals(mask))
		return false;
	if (lock_try(&collect_lock))
		return true;
	threads_restore_signals(*mask);
	return false;
}

/* false: signals cannot be blocked (*mask is THREADS_NO_MASK), so there can be no cycle. */
static bool collect_take(uint64_t *mask)
{
	while (!collect_try(mask)) {
		if (*mask == THREADS_NO_MASK)
			return false;
		os_sleep_ns(WAIT_NS);
	}
	return true;
}

static void collect_drop(uint64_t mask)
{
	lock_drop(&collect_lock);
	if (heap_hooks.cycle_ended)
		heap_hooks.cycle_ended();
	threads_restore_signals(mask);
}

/* One cycle; collect_lock is held, signals are blocked. */
static enum abort_reason run_locked(const struct cycle_look *look)
{
	struct attempt a = { .look = look };
	if (!load_relaxed(&running)) /* since before the lock was taken, see cycle_confine */
		return ABORT_EXEC;
	if (!stack_base)
		fill_for_first(look);
	if (!stack_ready()) {
		a.reason = ABORT_NO_MEMORY;
		cycle_end(&a);
		return a.reason;
	}
	self.in_collector = 1;
	threads_run_on((char *)stack_base + STACK, run_stopped, &a);
	cycle_end(&a);
	self.in_collector = 0;
	return a.reason;
}

/* roots=segments judges by the list of modules, and dlopen does not tell of its end. Before the lock: listing waits for the loader's. */
static void list_modules(void)
{
	if (options.roots == ROOTS_SEGMENTS)
		roots_list_segments_again();
}

enum abort_reason cycle_run(void)
{
	uint64_t mask;
	if (!load_relaxed(&running) || self.busy || self.in_collector)
		return ABORT_NONE;
	list_modules();
	if (!collect_try(&mask))
		return ABORT_NONE;
	enum abort_reason reason = run_locked(NULL);
	collect_drop(mask);
	return reason;
}

enum abort_reason cycle_look(const struct cycle_look *look)
{
	uint64_t mask;
	if (!load_relaxed(&running) || self.busy || self.in_collector)
		return ABORT_EXEC;
	list_modules();
	if (!collect_take(&mask))
		return ABORT_SIGNAL;
	enum abort_reason reason = run_locked(look);
	collect_drop(mask);
	return reason;
}

struct question {
	bool (*fn)(void *arg);
	void *arg;
	bool answer;
};

static void ask(void *arg)
{
	struct question *q = arg;
	q->answer = q->fn(q->arg);
}

bool cycle_alone(bool (*fn)(void *arg), void *arg)
{
	struct question q = { fn, arg, false };
	uintptr_t at;
	uint64_t mask;
	if (!load_relaxed(&running) || self.busy || self.in_collector || !collect_try(&mask))
		return false;
	self.in_collector = 1;
	if (load_relaxed(&running) && threads_alone() && !threads_catch(ask, &q, &at)) {
		stats_add(&stats.caught, 1);
		mark_fear(at);
		look_few_dropped();
		q.answer = false;
	}
	self.in_collector = 0;
	collect_drop(mask);
	return q.answer;
}

struct errand {
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void run_errand(void *arg)
{
	struct errand *e = arg;
	if (threads_stop() != ABORT_NONE)
		return;
	os_calm_begin();
	e->fn(e->arg);
	os_calm_end();
	threads_resume();
	e->done = true;
}

bool cycle_in_stop(void (*fn)(void *arg), void *arg)
{
	uint64_t mask;
	struct errand e = { .fn = fn, .arg = arg };
	if (!load_relaxed(&running) || self.busy || self.in_collector)
		return false;
	for (int i = 0; !collect_try(&mask); i++) {
		if (i == WAIT_SLICES || load_relaxed(&forking))
			return false;
		os_sleep_ns(WAIT_NS);
	}
	if (stack_ready()) {
		self.in_collector = 1;
		threads_run_on((char *)stack_base + STACK, run_errand, &e);
		self.in_collector = 0;
	}
	collect_drop(mask);
	return e.done;
}

void cycle_collect(void)
{
	unsigned failures = 0;
	uint64_t mask;
	if (!load_relaxed(&running) || self.in_collector || self.busy) /* busy: a handler on top of a slow path (law 3) */
		return;
	/* Condemned by the first cycle that starts after the call, recycled `grace` cycles later. */
	for (unsigned done = 0; done < options.grace + 1 && failures < COLLECT_TRIES;) {
		list_modules();
		bool taken = collect_take(&mask);
		enum abort_reason reason = taken ? run_locked(NULL) : ABORT_SIGNAL;
		if (taken)
			collect_drop(mask);
		if (reason == ABORT_NONE) {
			done++;
		} else if (reason == ABORT_NO_MEMORY) { /* nor will there be in a millisecond */
			return;
		} else {
			failures++;
			os_sleep_ns(1000000);
		}
	}
}

/* ---- what the heap calls ---- */

/* Another thread is in a cycle. Many threads that go on allocating would outrun it: past the bound each waits for its end. None
 * is busy, and a cycle needs nothing that a waiting thread holds. A fork does (glibc's locks, which this thread's callers may
 * hold), so nobody waits for one, nor for more than 100 ms for anything. */
static void wait_for_cycle(void)
{
	for (int i = 0; i < WAIT_SLICES && load_relaxed(&collect_lock.word) && !load_relaxed(&forking); i++)
		os_sleep_ns(WAIT_NS);
}

static void on_pressure(void)
{
	if (!load_relaxed(&running) || load_relaxed(&disabled) || (options.mode == MODE_REPORT && !options.stress) || !pace_wants() || self.busy || self.in_collector)
		return;
	list_modules();
	uint64_t mask;
	if (collect_try(&mask)) {
		run_locked(NULL);
		collect_drop(mask);
	} else if (pace_over()) {
		wait_for_cycle();
	}
}

/* Cycles for requests that are about to fail. A program at its limit may ask often, and what one collection has not found the next one
 * rarely finds. So an empty one is followed by another only when the heap has grown since by a share of what it holds (what was made since
 * can be lost), or when so much time has passed that all of them take a small part of it. A few are free: a program drops what it has
 * when malloc fails, and asks again at once. */
enum { EMPTY_FREE = 2, EMPTY_SHARE = 16, EMPTY_TIMES = 16 };
static struct {
	uint32_t busy;       /* atomic: a thread is collecting for a request */
	unsigned empty;      /* in a row; as the rest, of the thread that has made busy 1 */
	uint64_t not_before; /* of os_now_ns */
	size_t grown;        /* heap_growth() after the last one: a cycle that had no memory to end counts from no new smallest size */
} last_resort;

static void collect_for_request(const struct heap_totals *t)
{
	uint32_t none = 0;
	if (!cas(&last_resort.busy, &none, 1)) { /* what it finds serves this thread too */
		for (int i = 0; i < WAIT_SLICES && load_relaxed(&last_resort.busy) && !load_relaxed(&forking); i++)
			os_sleep_ns(WAIT_NS);
		return;
	}
	const uint64_t began = os_now_ns();
	const size_t growth = heap_growth(), since = growth > last_resort.grown ? growth - last_resort.grown : 0;
	if (last_resort.empty < EMPTY_FREE || began >= last_resort.not_before || since > t->live / EMPTY_SHARE) {
		const uint64_t before = stats.recycled_blocks;
		cycle_collect();
		cycle_run(); /* its stop gives back the spans that the last verdict emptied */
		const uint64_t now = os_now_ns();
		last_resort.empty = stats.recycled_blocks == before ? last_resort.empty + 1 : 0;
		last_resort.not_before = now + (now - began) * EMPTY_TIMES;
		last_resort.grown = heap_growth();
	}
	store_release(&last_resort.busy, 0);
}

static bool on_exhausted(size_t bytes)
{
	struct heap_totals t;
	heap_totals(&t);
	if (bytes > t.mapped) /* no cycle can find that much */
		return false;
	if (bytes <= t.live + t.dirty && options.mode == MODE_COLLECT && load_relaxed(&disabled) == 0 && load_relaxed(&running) && !self.busy)
		collect_for_request(&t);
	heap_trim();
	return true;
}

static void on_misuse(const char *what, const char *call, const void *p, size_t block)
{
	if (options.on_misuse == MISUSE_IGNORE)
		return;
	char class[32] = "", place[300], site[330] = "";
	struct block_info b;
	if (block)
		text_format(class, sizeof class, " (class %zu)", block);
	if (sites_on() && heap_find((uintptr_t)p, &b) != FOUND_NOTHING && sites_address(sites_of(b.span, b.slot)))
		text_format(site, sizeof site, ", last allocated at %s", roots_place(place, sizeof place, sites_address(sites_of(b.span, b.slot))));
	say("%s(%p): the pointer %s%s%s: the program's heap use is wrong: on_misuse=report goes on after it", call, p, what, class, site);
	if (options.on_misuse == MISUSE_ABORT)
		os_abort();
}

void cycle_disable(void) { add_relaxed(&disabled, 1); }
void cycle_enable(void) { __atomic_fetch_sub(&disabled, 1, __ATOMIC_RELAXED); }

void cycle_start(void)
{
	heap_hooks.misuse = on_misuse;
	heap_hooks.evidence = audit_evidence;
	heap_hooks.park = threads_park;
	heap_set_limit(options.heap_limit);
	if (options.mode == MODE_OFF)
		return;
	const char *why = threads_unsupported();
	if (why) { /* law 10 */
		stats.degraded = why;
		say("%s: nothing is recycled: the program runs as with mode=off", why);
		options.mode = MODE_OFF;
		return;
	}
	heap_hooks.pressure = on_pressure;
	heap_hooks.exhausted = on_exhausted;
	heap_stress(options.stress);
	pace_start();
	store_release(&running, true);
}

/* ---- filters of system calls ---- */

void cycle_confine(void)
{
	uint64_t mask;
	store_release(&running, false);
	/* Whoever had the lock is done then; whoever takes it from here on sees `running`. */
	if (collect_take(&mask)) {
		collect_drop(mask);
	} else {
		while (!lock_try(&collect_lock))
			os_sleep_ns(WAIT_NS);
		lock_drop(&collect_lock);
	}
}

void cycle_confine_failed(void) { store_release(&running, heap_hooks.pressure != NULL); }

/* ---- fork ---- */

/* Signals stay blocked as they are in a cycle, and for the same reason; 32 and 33 are glibc's and may come. in_collector keeps other
 * fork handlers, which may run while the locks are held, from starting a cycle. */
EACH_FORK static uint64_t fork_mask; /* under collect_lock */

void cycle_fork_prepare(void)
{
	uint64_t mask;
	if (collect_take(&mask))
		threads_restore_signals(~(3ull << 31));
	else /* the lock all the same: a cycle in flight must not be copied */
		while (!lock_try(&collect_lock))
			os_sleep_ns(WAIT_NS);
	fork_mask = mask;
	store_relaxed(&forking, true);
	self.in_collector = 1;
}

void cycle_fork_parent(void)
{
	uint64_t mask = fork_mask;
	store_relaxed(&forking, false);
	self.in_collector = 0;
	lock_drop(&collect_lock);
	threads_restore_signals(mask);
}

void cycle_fork_child_end(void) { threads_restore_signals(fork_mask); }

void cycle_fork_child(void)
{
	/* The dead set is void: no verdict is pending, because the lock was free (or a raw fork dropped it). */
	dead.size = 0;
	forking = false;
	last_resort.busy = 0;
	self.in_collector = 0;
	lock_reset(&collect_lock);
}
