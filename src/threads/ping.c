/*
 * Has a thread left the frame of our signal? A stop is over when the epoch is even, but a thread that was held by it may have yet to return
 * from the handler, and one that a stop gave up on may have yet to enter it. Until then its alternate stack is in use.
 *
 *   no SA_ONSTACK ── our signal once more, with a cookie ──▶ delivered only behind those before ──▶ on the ordinary stack: the answer ── SA_ONSTACK
 *
 * A thread that doesn't answer in time (stopped by a debugger, starved) will get what is pending later: then SA_ONSTACK stays away.
 */
#include "os/os.h"
#include "threads/room.h"

enum { COOKIES = 256, SLICE = 1000000, PATIENCE = 300000000 };

static uint8_t cookies[COOKIES]; /* only their addresses count */
static uint32_t asking;          /* atomic: somebody is; the program's handlers are blocked then */
static uint32_t serial;          /* under `asking` */
static uint32_t answer;          /* atomic, futex: 1 + the cookie that came last */

BARE bool ping_answered(const siginfo_t *info)
{
	const uintptr_t cookie = (uintptr_t)info->si_value.sival_ptr - (uintptr_t)cookies;
	if (cookie >= COOKIES)
		return false;
	store_release(&answer, (uint32_t)cookie + 1);
	room_wake(&answer);
	return true;
}

/* false: no answer. */
static bool ask(uint32_t tid)
{
	const uint32_t cookie = ++serial % COOKIES;
	siginfo_t info = { .si_signo = stop.signal, .si_code = SI_QUEUE };
	info.si_value.sival_ptr = &cookies[cookie];
	store_relaxed(&answer, 0);
	long r = syscall4(SYS_rt_tgsigqueueinfo, stop.pid, tid, stop.signal, (long)&info);
	const uint64_t end = os_now_ns() + PATIENCE;
	for (uint32_t seen = 0; r == 0 && os_now_ns() < end; seen = load_acquire(&answer)) {
		if (seen == cookie + 1)
			return true;
		room_wait(&answer, seen, SLICE);
		r = syscall3(SYS_tgkill, stop.pid, tid, 0);
	}
	return r == -ESRCH;
}

void threads_leave_frame(uint32_t tid)
{
	struct kernel_action now = { 0 }, off;
	uint64_t mask;
	if (!load_acquire(&stop.epoch) || os_is_confined() || os_pid() != stop.pid || tid == (uint32_t)os_tid())
		return; /* there was no stop yet, or is none any more */
	threads_block_handlers(&mask);
	while (__atomic_exchange_n(&asking, 1, __ATOMIC_ACQUIRE))
		os_yield();
	if (threads_hear() && threads_action(stop.signal, NULL, &now)) {
		off = now;
		off.flags &= ~(unsigned long)SA_ONSTACK;
		if (threads_action(stop.signal, &off, NULL) && ask(tid))
			threads_action(stop.signal, &now, NULL);
	}
	store_release(&asking, 0);
	threads_restore_signals(mask);
}

/* Another thread was asking, and is not here. */
void ping_forked(void)
{
	struct kernel_action now = { 0 };
	if (!load_relaxed(&asking))
		return;
	if (threads_action(stop.signal, NULL, &now) && now.handler == (void *)park_entry) {
		now.flags |= SA_ONSTACK;
		threads_action(stop.signal, &now, NULL);
	}
	store_relaxed(&asking, 0);
}
