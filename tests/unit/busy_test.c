/* Stops and what goes on beside them: slow paths of the heap, set*id, EINTR. */
#include "threads_kit.h"

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
Test(threads, setuid_calls_of_many_threads_return_beside_stops)
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

static void nothing(int sig) {}
Test(threads, an_eintr_of_the_programs_own_signal_is_not_ours)
{
	struct sigaction a = { .sa_handler = nothing };
	pthread_t t;
	sigaction(SIGUSR1, &a, NULL);
	pthread_create(&t, NULL, sleeper, NULL);
	/* At least 50, and on a crowded machine until the sleeper had its turn. */
	for (int i = 0; i < 50 || (load_relaxed(&shown) == 0 && i < 5000); i++) {
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
	know_stack();
	for (int i = 0; i < 200 && !load_relaxed(&quit); i++) {
		busy_enter();
		for (uint64_t end = os_now_ns() + 1000000; os_now_ns() < end;)
			;
		store_release(&phase, 1); /* last act of the slow path */
		busy_leave();
		store_release(&phase, 0);
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
