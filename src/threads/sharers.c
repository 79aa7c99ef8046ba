/*
 * Processes that share our memory: children of clone with CLONE_VM and without CLONE_THREAD.
 *
 * Such a child allocates from our heap, and even from the cache of the thread that made it, whose TLS it has. It is not in our list of
 * threads and gets no signal of ours, so there is no stop while one lives (law 8). The shim's clone tells of each:
 *
 *   enter      no stop is in flight, none starts (as for exec)
 *   clone
 *   leave      the child's pid is noted; or nothing, when it is gone already (CLONE_VFORK) or the call failed
 *
 * A noted child is forgotten when it is seen gone: no such process; a zombie; or another memory since its exec, which kcmp tells. Where
 * kcmp is refused, only the first two count. A full table stands for children that nobody can follow: no stop any more.
 *
 * vfork and posix_spawn need none of this: the thread that made the child does not run meanwhile, so a stop ends without its answer.
 */
#include "os/os.h"
#include "threads/room.h"

#include <errno.h>
#include <linux/kcmp.h>

enum { SHARERS = 64 };

static struct {
	int pids[SHARERS];  /* atomic; 0 free. Written by whoever makes children, freed by the collecting thread */
	uint32_t lost;      /* atomic: one found no room */
} sharers;

void threads_sharer_enter(void) { threads_exec_enter(NULL); }

void threads_sharer_leave(int pid)
{
	for (unsigned i = 0; pid > 0 && i <= SHARERS; i++) {
		int none = 0;
		if (i == SHARERS)
			store_relaxed(&sharers.lost, 1);
		else if (cas(&sharers.pids[i], &none, pid))
			break;
	}
	threads_exec_leave();
}

static bool shares(int pid)
{
	struct task_signs signs;
	if (syscall2(SYS_kill, pid, 0) == -ESRCH)
		return false;
	long r = syscall6(SYS_kcmp, stop.pid, pid, KCMP_VM, 0, 0, 0);
	if (r >= 0)
		return r == 0;
	return process_state(pid, &signs) == TASK_AWAITED;
}

bool sharers_live(void)
{
	bool live = load_relaxed(&sharers.lost);
	for (unsigned i = 0; i < SHARERS; i++) {
		int pid = load_relaxed(&sharers.pids[i]);
		if (pid && shares(pid))
			live = true;
		else if (pid)
			cas(&sharers.pids[i], &pid, 0);
	}
	return live;
}

void sharers_forked(void)
{
	for (unsigned i = 0; i < SHARERS; i++)
		store_relaxed(&sharers.pids[i], 0);
	store_relaxed(&sharers.lost, 0);
}
