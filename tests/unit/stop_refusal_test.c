/* When a stop cannot be had it ends in time, everybody runs on, and later stops come about. */
#include "threads_kit.h"

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
	know_stack();
	busy_enter(); /* so that the stop stays in flight: this thread is not parked */
	store_release(&phase, 1);
	while (!threads_stopped())
		;
	threads_exec_enter(NULL);
	store_release(&phase, threads_stopped() ? 3 : 2);
	threads_exec_leave();
	busy_leave();
	return NULL;
}
Test(threads, exec_enter_waits_for_the_end_of_a_stop_in_flight)
{
	pthread_t t;
	uint64_t saved;
	pthread_create(&t, NULL, enters_exec, NULL);
	while (load_acquire(&phase) != 1)
		sched_yield();
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	threads_restore_signals(saved);
	pthread_join(t, NULL);
	cr_assert_eq(r, ABORT_THREAD_SILENT);
	cr_assert_eq(phase, 2, "it entered while the stop was in flight");
	cr_assert_eq(cycle(5), 5);
}
Test(threads, a_stop_gives_way_to_exec)
{
	uint64_t saved;
	threads_exec_enter(NULL);
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	threads_restore_signals(saved);
	threads_exec_leave();
	cr_assert_eq(r, ABORT_EXEC);
	cr_assert_eq(cycle(5), 5);
}

static uint32_t sharer_ends;
static int shares_memory(void *unused)
{
	struct timespec t = { 0, 1000000 };
	while (!load_acquire(&sharer_ends))
		syscall(SYS_nanosleep, &t, NULL);
	syscall(SYS_exit, 0);
	return 0;
}
static enum abort_reason one_stop(void)
{
	uint64_t saved;
	threads_block_signals(&saved);
	enum abort_reason r = threads_stop();
	if (r == ABORT_NONE)
		threads_resume();
	threads_restore_signals(saved);
	return r;
}
Test(threads, no_stop_while_another_process_runs_in_our_memory)
{
	static char stack[16384] __attribute__((aligned(16)));
	int status;
	if (getenv("CGC_FAULT"))
		cr_assert_null(fault_parse(getenv("CGC_FAULT")));
	cr_assert_eq(one_stop(), ABORT_NONE);
	threads_sharer_enter();
	pid_t p = clone(shares_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	threads_sharer_leave(p);
	enum abort_reason r = one_stop();
	store_release(&sharer_ends, 1); /* before any assert: it must not outlive the test */
	cr_assert_eq(waitpid(p, &status, 0), p);
	cr_assert_eq(r, ABORT_SHARED);
	cr_assert_eq(one_stop(), ABORT_NONE);
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
