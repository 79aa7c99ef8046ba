/* Stopping threads: each test is a claim, bounded in time; Criterion gives each its own process. Nothing but reads of memory
 * happens inside a stop: what was seen is judged after the resume. */
#include "base/fault.h"
#include "base/options.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "os/os.h"
#include "threads/threads.h"

#include <alloca.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, MANY = 100 };
#else
enum { SANITIZED = 0, MANY = 500 };
#endif
#define BARE __attribute__((no_sanitize("address", "thread", "undefined")))

static size_t others = 1; /* threads of the test runner itself, this one included */
#ifdef __SANITIZE_THREAD__
static void *nothing(void *arg) { return arg; }
#endif
static void begin(void)
{
	uint64_t saved;
#ifdef __SANITIZE_THREAD__ /* starts a thread of its own at the first pthread_create: it belongs to the others */
	pthread_t first;
	pthread_create(&first, NULL, nothing, NULL);
	pthread_join(first, NULL);
#endif
	threads_start(0);
	heap_hooks.park = threads_park;
	threads_block_signals(&saved);
	if (threads_stop() == ABORT_NONE) {
		others = threads_count();
		threads_resume();
	}
	threads_restore_signals(saved);
}
TestSuite(threads, .init = begin, .timeout = 60);

static void nap(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* One stop, tried again while the machine is too busy for an answer in 20 ms. Signals stay blocked until resume. */
static enum abort_reason stop_within(uint64_t *saved, unsigned seconds)
{
	uint64_t end = os_now_ns() + seconds * 1000000000ull;
	enum abort_reason r;
	for (;;) {
		threads_block_signals(saved);
		r = threads_stop();
		if (r == ABORT_NONE)
			return r;
		threads_restore_signals(*saved);
		if (os_now_ns() > end)
			return r;
		nap(1000);
	}
}
static void run(uint64_t saved)
{
	threads_resume();
	threads_restore_signals(saved);
}
/* Stops and resumes `times`; result: how many came about. */
static unsigned cycle(unsigned times)
{
	unsigned done = 0;
	uint64_t saved;
	for (unsigned i = 0; i < times; i++)
		if (stop_within(&saved, 5) == ABORT_NONE) {
			run(saved);
			done++;
		}
	return done;
}
static const struct thread_root *root_of(int tid)
{
	for (size_t i = 0; i < threads_count(); i++)
		if (threads_root(i)->tid == tid)
			return threads_root(i);
	return NULL;
}
BARE static bool range_holds(struct range r, uintptr_t w)
{
	for (uintptr_t p = align_up(r.low, 8); p + 8 <= r.high; p += 8)
		if (*(volatile word_t *)p == w)
			return true;
	return false;
}
BARE static bool words_hold(const struct thread_root *t, uintptr_t w)
{
	for (unsigned i = 0; i < t->word_count; i++)
		if (t->words[i] == w)
			return true;
	return false;
}
static bool inside(struct range r, uintptr_t p) { return p >= r.low && p < r.high; }

/* -- workers -- */

struct worker {
	pthread_t thread;
	int kind;
	int tid;          /* atomic */
	uint64_t count;   /* atomic: moves while the thread runs */
};
static struct worker workers[MANY];
static int quit; /* atomic */

static void know_stack(void)
{
	pthread_attr_t a;
	void *low;
	size_t size;
	pthread_getattr_np(pthread_self(), &a);
	pthread_attr_getstack(&a, &low, &size);
	pthread_attr_destroy(&a);
	threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	know_stack();
	store_release(&w->tid, os_tid());
	while (!load_relaxed(&quit)) {
		add_relaxed(&w->count, 1);
		switch (w->kind % 3) {
		case 0:
			syscall(SYS_getppid);
			if (w->kind > 8)
				nap(20000);
			break;
		case 1:
			nap(w->kind > 8 ? 20000 : 500);
			break;
		default:
			for (volatile int i = 0; i < 1000; i++)
				;
			if (w->kind > 8)
				nap(20000); /* a crowd of spinners would only measure the scheduler */
		}
	}
	return NULL;
}
static void start_workers(int n)
{
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256 * 1024);
	for (int i = 0; i < n; i++) {
		workers[i].kind = n >= 50 ? i < 4 ? i : 9 + i % 3 : i;
		cr_assert(pthread_create(&workers[i].thread, &a, work, &workers[i]) == 0);
	}
	for (int i = 0; i < n; i++)
		while (!load_acquire(&workers[i].tid))
			sched_yield();
}
static void end_workers(int n)
{
	store_relaxed(&quit, 1);
	for (int i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
}

static uint64_t sum(int n)
{
	uint64_t s = 0;
	for (int i = 0; i < n; i++)
		s += load_relaxed(&workers[i].count);
	return s;
}

static void stands_still(int n, int rounds)
{
	uint64_t saved, best = ~0ull, total = 0;
	int moved = 0, missing = 0, done = 0;
	start_workers(n);
	for (int i = 0; i < rounds; i++) {
		if (stop_within(&saved, 5) != ABORT_NONE)
			continue;
		uint64_t before = sum(n);
		os_sleep_ns(300000);
		moved += sum(n) != before;
		missing += threads_count() != (size_t)n + others;
		run(saved);
		done++;
		nap(500);
		threads_block_signals(&saved); /* the pause itself */
		uint64_t t = os_now_ns();
		if (threads_stop() == ABORT_NONE) {
			threads_resume();
			t = os_now_ns() - t;
			total += t;
			best = t < best ? t : best;
		}
		threads_restore_signals(saved);
	}
	uint64_t before = sum(n);
	for (int i = 0; i < 1000 && sum(n) == before; i++)
		nap(1000);
	cr_assert(sum(n) != before, "they run again");
	end_workers(n);
	cr_assert_eq(moved, 0, "a counter moved while stopped");
	cr_assert_eq(missing, 0, "threads missing from the roots");
	cr_assert_gt(done, 0);
	fprintf(stderr, "threads: %d threads: stop and resume best %lu us, mean %lu us (%d stops)\n", n, best / 1000,
	        total / (unsigned)rounds / 1000, done);
}
Test(threads, one_thread_stands_still) { stands_still(1, 100); }
Test(threads, fifty_threads_stand_still) { stands_still(50, 50); }
Test(threads, hundreds_of_threads_stand_still) { stands_still(MANY, 10); }

Test(threads, a_lone_thread_stops_itself_and_is_its_only_root)
{
	uint64_t saved;
	cr_assert_null(threads_unsupported());
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	bool in = threads_stopped();
	size_t n = threads_count();
	int tid = threads_root(0)->tid;
	run(saved);
	cr_assert(in && !threads_stopped());
	cr_assert_eq(n, others);
	cr_assert_eq(tid, os_tid());
}

/* -- births and deaths -- */

static int alive; /* atomic: short-lived threads that run now */
static uint64_t ticks; /* atomic */
static void *short_life(void *arg)
{
	for (int i = 0; i < 50; i++)
		add_relaxed(&ticks, 1);
	return NULL;
}
static void *breeder(void *arg)
{
	while (!load_relaxed(&quit)) {
		pthread_t t[4];
		int made = 0;
		while (made < 4 && pthread_create(&t[made], NULL, short_life, NULL) == 0)
			made++;
		for (int i = 0; i < made; i++)
			pthread_join(t[i], NULL);
		add_relaxed(&alive, 1);
	}
	return NULL;
}
Test(threads, births_and_deaths_during_stops_are_seen)
{
	pthread_t t[3];
	unsigned done = 0, moved = 0;
	uint64_t saved;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, breeder, NULL);
	for (int i = 0; i < 200; i++) {
		if (stop_within(&saved, 5) != ABORT_NONE)
			continue;
		uint64_t before = load_relaxed(&ticks);
		os_sleep_ns(200000);
		moved += load_relaxed(&ticks) != before;
		run(saved);
		done++;
	}
	store_relaxed(&quit, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(moved, 0, "a thread ran during %u of %u stops", moved, done);
	cr_assert_gt(done, 150);
	cr_assert_gt(load_relaxed(&alive), 0);
}

/* TSan knows threads by its wrapper of pthread_create; instrumented code on those that pass it by has no shadow stack there
 * and crashes in it. */
#ifndef __SANITIZE_THREAD__
static int c11_thread(void *arg)
{
	add_relaxed(&ticks, 1);
	return 0;
}
static int c11_breeder(void *arg)
{
	while (!load_relaxed(&quit)) {
		thrd_t t;
		if (thrd_create(&t, c11_thread, NULL) == thrd_success)
			thrd_join(t, NULL);
	}
	return 0;
}
static void on_timer(union sigval v) { add_relaxed(&ticks, 1); }
Test(threads, threads_made_by_thrd_create_and_timers_are_stopped)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer };
	struct itimerspec every = { { 0, 1000000 }, { 0, 1000000 } };
	timer_t timer;
	thrd_t t;
	unsigned done = 0, moved = 0;
	uint64_t saved;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
	timer_settime(timer, 0, &every, NULL);
	thrd_create(&t, c11_breeder, NULL);
	for (int i = 0; i < 100; i++) {
		if (stop_within(&saved, 5) != ABORT_NONE)
			continue;
		uint64_t before = load_relaxed(&ticks);
		os_sleep_ns(2000000);
		moved += load_relaxed(&ticks) != before;
		run(saved);
		done++;
	}
	store_relaxed(&quit, 1);
	thrd_join(t, NULL);
	timer_delete(timer);
	cr_assert_eq(moved, 0);
	cr_assert_gt(done, 50);
}
#endif

/* -- odd threads -- */

static void *outlives_main(void *arg)
{
	unsigned done;
	nap(20000); /* the main thread is a zombie by now */
	pthread_t t;
	pthread_create(&t, NULL, work, &workers[0]);
	while (!load_acquire(&workers[0].tid))
		sched_yield();
	done = cycle(50);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	_exit(done == 50 ? 0 : 1);
}
Test(threads, a_main_thread_that_called_pthread_exit_is_no_obstacle)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		pthread_t t;
		threads_forked();
		cycle(2); /* it is known as a living thread first */
		pthread_create(&t, NULL, outlives_main, NULL);
		pthread_exit(NULL);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static void *blocks_everything(void *arg)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	return work(arg);
}
Test(threads, a_thread_that_blocks_every_signal_is_stopped)
{
	pthread_t t;
	uint64_t saved;
	pthread_create(&t, NULL, blocks_everything, &workers[0]);
	while (!load_acquire(&workers[0].tid))
		sched_yield();
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	bool found = root_of(workers[0].tid) != NULL;
	run(saved);
	end_workers(0);
	pthread_join(t, NULL);
	cr_assert(found);
}

static char *alternate;
/* TSan wraps handlers: its frames take more than the alternate stack has. */
#ifndef __SANITIZE_THREAD__
static int in_handler; /* atomic */
static void linger(int sig)
{
	store_release(&in_handler, 1);
	while (!load_relaxed(&quit))
		;
}
static void *on_alternate_stack(void *arg)
{
	stack_t s = { alternate, 0, 16 * 1024 };
	struct worker *w = arg;
	know_stack();
	sigaltstack(&s, NULL);
	store_release(&w->tid, os_tid());
	raise(SIGUSR1);
	return NULL;
}
Test(threads, a_handler_on_a_small_alternate_stack_is_stopped_and_nothing_of_it_is_dead)
{
	struct sigaction a = { .sa_handler = linger, .sa_flags = SA_ONSTACK };
	struct thread_root seen = { 0 };
	uint64_t saved;
	alternate = mmap(NULL, 16 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGUSR1, &a, NULL);
	pthread_create(&workers[0].thread, NULL, on_alternate_stack, &workers[0]);
	while (!load_acquire(&in_handler))
		sched_yield();
	unsigned done = cycle(20);
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	if (root_of(workers[0].tid))
		seen = *root_of(workers[0].tid);
	run(saved);
	end_workers(1);
	uintptr_t alt = (uintptr_t)alternate;
	cr_assert_eq(done, 20);
	cr_assert(seen.sp - alt < 16 * 1024);
	cr_assert(seen.dead.low == seen.dead.high);
	cr_assert(seen.frame.low >= alt && seen.frame.high <= alt + 16 * 1024 && seen.frame.low < seen.frame.high);
	cr_assert(words_hold(&seen, alt), "the kernel may be the only one who knows the alternate stack");
}
#endif

static void *has_alternate_stack(void *arg)
{
	stack_t s = { alternate, 0, 16 * 1024 };
	sigaltstack(&s, NULL);
	return work(arg);
}
Test(threads, our_frame_on_an_alternate_stack_is_told_beside_the_ordinary_stack)
{
	struct thread_root seen = { 0 };
	uint64_t saved;
	alternate = mmap(NULL, 16 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	workers[0].kind = 0;
	pthread_create(&workers[0].thread, NULL, has_alternate_stack, &workers[0]);
	while (!load_acquire(&workers[0].tid))
		sched_yield();
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	seen = *root_of(workers[0].tid);
	run(saved);
	end_workers(1);
	uintptr_t alt = (uintptr_t)alternate;
	cr_assert(inside(seen.live, seen.sp) && seen.live.low == seen.sp - 128);
	cr_assert_eq(seen.dead.high, seen.live.low);
	cr_assert(seen.frame.low >= alt && seen.frame.high <= alt + 16 * 1024 && seen.frame.low < seen.frame.high);
}

/* -- what only registers hold -- */

static volatile uintptr_t secret_a = 0x5a5a1234deadbeef, secret_b = 0x1111222233334444;
static int holding; /* atomic */
static volatile int release_held;
BARE static void *holds_in_register(void *arg)
{
	if (arg)
		know_stack();
	uintptr_t w = (uintptr_t)&release_held;
	__asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\tmovl $1, %3\n"
			 "1:\tpause\n\tcmpl $0, (%0)\n\tje 1b\n\txor %%r12, %%r12"
			 : : "r"(w), "m"(secret_a), "m"(secret_b), "m"(holding) : "r12", "memory", "cc");
	return NULL;
}
BARE static void *holds_in_vector(void *arg)
{
	if (arg)
		know_stack();
	uintptr_t w = (uintptr_t)&release_held;
	__asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\tmovq %%r12, %%xmm9\n\txor %%r12, %%r12\n\tmovl $1, %3\n"
			 "1:\tpause\n\tcmpl $0, (%0)\n\tje 1b\n\tpxor %%xmm9, %%xmm9"
			 : : "r"(w), "m"(secret_a), "m"(secret_b), "m"(holding) : "r12", "xmm9", "memory", "cc");
	return NULL;
}
static void found_when_stopped(void *(*holder)(void *), bool known, bool vector)
{
	pthread_t t;
	uint64_t saved;
	bool in_words = false, in_memory = false;
	pthread_create(&t, NULL, holder, known ? &quit : NULL);
	while (!load_acquire(&holding))
		sched_yield();
	enum abort_reason r = stop_within(&saved, 5);
	if (r == ABORT_NONE) {
		uintptr_t secret = secret_a ^ secret_b;
		for (size_t i = 1; i < threads_count(); i++) {
			in_words |= words_hold(threads_root(i), secret);
			in_memory |= range_holds(threads_root(i)->live, secret) || range_holds(threads_root(i)->frame, secret);
		}
		secret = 0;
		run(saved);
	}
	release_held = 1;
	pthread_join(t, NULL);
	cr_assert_eq(r, ABORT_NONE);
	cr_assert(in_memory, "the signal frame is part of the root");
	cr_assert(vector || in_words);
}
Test(threads, a_pointer_only_in_a_register_is_found) { found_when_stopped(holds_in_register, true, false); }
Test(threads, a_pointer_only_in_a_vector_register_is_found) { found_when_stopped(holds_in_vector, true, true); }
Test(threads, a_pointer_only_in_a_register_is_found_without_stack_bounds) { found_when_stopped(holds_in_register, false, false); }
Test(threads, a_pointer_only_in_a_vector_register_is_found_without_stack_bounds)
{
	found_when_stopped(holds_in_vector, false, true);
}

struct inner {
	enum abort_reason reason;
	uintptr_t here;
	struct thread_root self;
};
static void stop_there(void *arg)
{
	struct inner *in = arg;
	uint64_t saved;
	in->here = (uintptr_t)__builtin_frame_address(0);
	threads_block_signals(&saved);
	in->reason = threads_stop();
	in->self = *threads_root(0);
	if (in->reason == ABORT_NONE)
		threads_resume();
	threads_restore_signals(saved);
}
Test(threads, the_collecting_thread_is_a_root_from_where_it_switched_stacks)
{
	struct inner in = { .reason = ABORT_NO_MEMORY };
	char *stack = mmap(NULL, 256 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t before = (uintptr_t)__builtin_frame_address(0);
	threads_run_on(stack + 256 * 1024, stop_there, &in);
	cr_assert_eq(in.reason, ABORT_NONE);
	cr_assert(in.here - (uintptr_t)stack < 256 * 1024, "ran on the given stack");
	cr_assert(in.self.sp <= before && before - in.self.sp < 65536);
	cr_assert(inside(in.self.live, (uintptr_t)&in), "the main thread's stack is known");
	cr_assert_eq(in.self.tid, os_tid());
	cr_assert_geq(in.self.word_count, 8);
}

/* -- set*id, EINTR -- */

static void *changes_ids(void *arg)
{
	while (!load_relaxed(&quit)) {
		if (setuid(getuid()) != 0)
			add_relaxed(&ticks, 1);
		add_relaxed(&alive, 1);
		nap(200);
	}
	return NULL;
}
Test(threads, setuid_in_many_threads_works_beside_stops)
{
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, changes_ids, NULL);
	unsigned done = cycle(300);
	int before = load_relaxed(&alive);
	nap(50000);
	int after = load_relaxed(&alive);
	store_relaxed(&quit, 1);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	cr_assert_gt(done, 250);
	cr_assert_gt(after, before);
	cr_assert_eq(load_relaxed(&ticks), 0, "setuid failed");
}

static int hidden, shown; /* atomic: EINTRs that were ours, and the rest */
static void *sleeper(void *arg)
{
	while (!load_relaxed(&quit)) {
		struct timespec t = { 1, 0 };
		self.eintr_mine = 0;
		if (syscall(SYS_nanosleep, &t, NULL) == -1 && errno == EINTR)
			add_relaxed(load_relaxed(&self.eintr_mine) ? &hidden : &shown, 1);
	}
	return NULL;
}
Test(threads, an_eintr_of_ours_is_told_to_the_wrapper)
{
	pthread_t t;
	pthread_create(&t, NULL, sleeper, NULL);
	nap(5000);
	for (int i = 0; i < 300; i++) {
		cycle(1);
		nap(700);
	}
	int h = load_relaxed(&hidden), s = load_relaxed(&shown);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	fprintf(stderr, "threads: EINTR ours %d, unexplained %d\n", h, s);
	cr_assert_gt(h, 100);
	cr_assert_eq(s, 0);
}

static void nothing_here(int sig) {}
Test(threads, an_eintr_of_the_programs_own_signal_is_not_ours)
{
	struct sigaction a = { .sa_handler = nothing_here };
	pthread_t t;
	sigaction(SIGUSR1, &a, NULL);
	pthread_create(&t, NULL, sleeper, NULL);
	for (int i = 0; i < 50; i++) {
		nap(2000);
		pthread_kill(t, SIGUSR1);
	}
	nap(2000);
	int h = load_relaxed(&hidden), s = load_relaxed(&shown);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	cr_assert_eq(h, 0);
	cr_assert_gt(s, 0);
}

/* -- busy -- */

static int phase; /* atomic */
__attribute__((noinline)) static void slow_path(void)
{
	busy_enter();
	store_release(&phase, 1);
	while (load_acquire(&phase) == 1)
		;
	store_release(&phase, 3);
	busy_leave();
}
static void *goes_slow(void *arg)
{
	know_stack();
	slow_path();
	store_release(&phase, 4);
	while (!load_relaxed(&quit))
		;
	return NULL;
}
Test(threads, a_busy_thread_is_stopped_only_when_it_leaves)
{
	pthread_t t;
	uint64_t saved;
	pthread_create(&t, NULL, goes_slow, NULL);
	while (load_acquire(&phase) != 1)
		sched_yield();
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	threads_restore_signals(saved);
	cr_assert_eq(r, ABORT_THREAD_SILENT, "it stays in its slow path, so the stop gives up");
	store_release(&phase, 2);
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	int at = load_acquire(&phase);
	run(saved);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	cr_assert_geq(at, 3, "stopped inside the slow path");
}

static void *leaves_soon(void *arg)
{
	uintptr_t secret;
	know_stack();
	for (int i = 0; i < 200 && !load_relaxed(&quit); i++) {
		busy_enter();
		for (uint64_t end = os_now_ns() + 1000000; os_now_ns() < end;)
			;
		store_release(&phase, 1); /* last act of the slow path */
		busy_leave();
		store_release(&phase, 0);
		secret = secret_a;
		(void)secret;
	}
	store_relaxed(&quit, 1);
	return NULL;
}
Test(threads, a_busy_thread_parks_at_its_busy_leave)
{
	pthread_t t;
	uint64_t saved;
	int parked_at_leave = 0, stops = 0;
	pthread_create(&t, NULL, leaves_soon, NULL);
	while (!load_relaxed(&quit)) {
		threads_block_signals(&saved);
		if (threads_stop() == ABORT_NONE) {
			parked_at_leave += load_relaxed(&phase) == 1;
			stops++;
			threads_resume();
		}
		threads_restore_signals(saved);
		nap(300);
	}
	pthread_join(t, NULL);
	fprintf(stderr, "threads: %d of %d stops found the thread at busy_leave\n", parked_at_leave, stops);
	cr_assert_gt(parked_at_leave, 0);
}

static jmp_buf out;
__attribute__((noinline)) static void abandoned_slow_path(void)
{
	volatile char deep[8192];
	deep[0] = 1;
	busy_enter();
	longjmp(out, deep[0]);
}
static void *leaves_by_longjmp(void *arg)
{
	know_stack();
	if (setjmp(out) == 0)
		abandoned_slow_path();
	store_release(&phase, (int)self.busy);
	while (!load_relaxed(&quit))
		;
	store_release(&phase, 10 + (int)self.busy);
	return NULL;
}
Test(threads, a_slow_path_left_by_longjmp_does_not_keep_its_thread_busy)
{
	pthread_t t;
	uint64_t saved;
	pthread_create(&t, NULL, leaves_by_longjmp, NULL);
	while (load_acquire(&phase) == 0)
		sched_yield();
	enum abort_reason r = stop_within(&saved, 5);
	if (r == ABORT_NONE)
		run(saved);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	cr_assert_eq(r, ABORT_NONE);
	cr_assert_eq(phase, 10);
}

/* -- refusals -- */

Test(threads, stops_work_when_no_signal_can_be_queued)
{
	struct rlimit none = { 0, 0 };
	start_workers(8);
	cr_assert_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	unsigned done = cycle(50);
	end_workers(8);
	cr_assert_eq(done, 50);
}

static void *vforks(void *arg)
{
	struct worker *w = arg;
	store_release(&w->tid, os_tid());
	pid_t p = (pid_t)syscall(SYS_vfork);
	if (p == 0) {
		struct timespec t = { 0, 200000000 };
		syscall(SYS_nanosleep, &t, NULL);
		syscall(SYS_exit, 0);
	}
	waitpid(p, NULL, 0);
	store_release(&phase, 1);
	return NULL;
}
Test(threads, a_vfork_parent_makes_the_stop_fail_in_time_and_later_ones_succeed)
{
	uint64_t saved;
	if (SANITIZED)
		return; /* their shadow stacks do not survive a raw vfork */
	pthread_create(&workers[0].thread, NULL, vforks, &workers[0]);
	while (!load_acquire(&workers[0].tid))
		sched_yield();
	nap(30000);
	threads_block_signals(&saved);
	uint64_t t = os_now_ns();
	enum abort_reason r = threads_stop();
	t = os_now_ns() - t;
	threads_restore_signals(saved);
	pthread_join(workers[0].thread, NULL);
	cr_assert_eq(r, ABORT_THREAD_SILENT);
	cr_assert_lt(t, 200000000);
	cr_assert_eq(cycle(3), 3);
}

static void *forker(void *arg)
{
	while (!load_relaxed(&quit)) {
		pid_t p = fork();
		if (p == 0) {
			uint64_t saved;
			threads_forked();
			bool ok = !threads_stopped() && stop_within(&saved, 2) == ABORT_NONE;
			ok = ok && threads_count() == 1;
			if (ok)
				threads_resume();
			_exit(ok ? 0 : 1);
		}
		int status = 1;
		waitpid(p, &status, 0);
		add_relaxed(status == 0 ? &alive : &phase, 1);
	}
	return NULL;
}
Test(threads, fork_beside_stops_works_in_parent_and_child)
{
	pthread_t t;
	if (SANITIZED)
		return; /* a fork beside other threads is theirs to forbid */
	start_workers(3);
	pthread_create(&t, NULL, forker, NULL);
	unsigned done = cycle(200);
	nap(50000);
	store_relaxed(&quit, 1);
	pthread_join(t, NULL);
	end_workers(3);
	cr_assert_gt(done, 100);
	cr_assert_gt(alive, 0);
	cr_assert_eq(phase, 0, "%d children failed", phase);
}

static void *enters_exec(void *arg)
{
	threads_exec_enter();
	store_release(&phase, 1);
	return NULL;
}
Test(threads, exec_waits_for_a_stop_and_a_stop_gives_way_to_exec)
{
	pthread_t t;
	uint64_t saved;
	threads_exec_enter();
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	threads_restore_signals(saved);
	threads_exec_leave();
	cr_assert_eq(r, ABORT_EXEC);
	cr_assert_eq(stop_within(&saved, 5), ABORT_NONE);
	run(saved);
	pthread_create(&t, NULL, enters_exec, NULL);
	pthread_join(t, NULL);
	threads_exec_leave();
	cr_assert_eq(cycle(5), 5);
}

static void refused(const char *text, enum abort_reason expected)
{
	uint64_t saved;
	start_workers(4);
	cr_assert_eq(cycle(1), 1);
	cr_assert_null(fault_parse(text));
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	threads_restore_signals(saved);
	bool still = threads_stopped();
	fault_armed = false;
	unsigned done = cycle(5);
	end_workers(4);
	cr_assert_eq(r, expected, "%s gives %d", text, r);
	cr_assert_not(still);
	cr_assert_eq(done, 5, "everybody runs on after %s", text);
}
Test(threads, a_lost_answer_ends_the_stop) { refused("ack@1", ABORT_THREAD_SILENT); }
Test(threads, a_late_answer_ends_the_stop) { refused("late_ack@1", ABORT_THREAD_SILENT); }
Test(threads, a_signal_that_cannot_be_sent_ends_the_stop) { refused("signal@2", ABORT_SIGNAL); }
Test(threads, an_unreadable_task_list_ends_the_stop) { refused("task_list@1", ABORT_TASK_LIST); }

static uintptr_t own_bytes;
static void count_range(uintptr_t low, uintptr_t high) { own_bytes += high - low; }
Test(threads, records_lie_in_memory_that_is_told_as_our_own)
{
	start_workers(4);
	cr_assert_eq(cycle(1), 1);
	uint64_t saved;
	stop_within(&saved, 5);
	threads_own_ranges(count_range);
	run(saved);
	end_workers(4);
	cr_assert_gt(own_bytes, 4096);
}
