/*
 * A module can't be unmapped under a thread that runs in it. But where a walk believed a frame pointer (generated code has no rules), any
 * word that looks like an address in code may be the next frame, and its module may be leaving in another thread.
 *
 *   guesser   holders + 1, leaving is 0?  reads   holders - 1          else: the walk ends there
 *   dlclose   leaving + 1, waits for holders 0    unmaps, lists        leaving - 1
 *
 * Each side raises its own count before it looks at the other's, so one of them sees the other. The wait is bounded: who holds does so for
 * microseconds, but may have been left by longjmp, or be what this thread's handler interrupted.
 */
#include "backtrace/leave.h"
#include "os/os.h"

enum { TRIES = 200, PAUSE_NS = 100000 }; /* 20 ms */

static uint32_t holders, leaving; /* atomic, seq_cst */

/* Not below 0: a handler may have forked on top of a holder, or a destructor inside dlclose. */
static void count_down(uint32_t *count)
{
	for (uint32_t n = load_relaxed(count); n && !cas(count, &n, n - 1);)
		;
}

bool modules_hold(void)
{
	__atomic_fetch_add(&holders, 1, __ATOMIC_SEQ_CST);
	if (LIKELY(!__atomic_load_n(&leaving, __ATOMIC_SEQ_CST)))
		return true;
	modules_let_go();
	return false;
}

void modules_let_go(void) { count_down(&holders); }

void modules_leave(void)
{
	__atomic_fetch_add(&leaving, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < TRIES && __atomic_load_n(&holders, __ATOMIC_SEQ_CST); i++)
		os_sleep_ns(PAUSE_NS);
}

void modules_left(void) { count_down(&leaving); }

void modules_left_behind(void)
{
	store_relaxed(&holders, 0);
	store_relaxed(&leaving, 0);
}
