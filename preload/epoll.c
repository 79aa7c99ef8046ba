/*
 * epoll_ctl: the data word of each registered descriptor lives in the kernel, and programs keep their only pointer there.
 *
 * The word is noted after the call succeeded: until then it stands in *event, in the caller's memory, which is a root; and a
 * call that fails (EEXIST, ENOENT, EFAULT) changes nothing in the kernel, so it may change nothing in the table. Signals are blocked
 * for both: a handler that left in between by longjmp would leave the word with the kernel alone. epoll_ctl never waits.
 *
 * close is not wrapped. A descriptor that is closed leaves the set by itself and a stale row behind: it retains one block
 * until the same pair of numbers is registered again. A wrapper of close could not do better without knowing what dup, fork and
 * SCM_RIGHTS made of the descriptor: the kernel keeps the word until the last of those is closed, and so must we.
 */
#include "preload/real.h"
#include "roots/roots.h"
#include <errno.h>

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct roots_guard guard;
	const struct real *functions = real();
	roots_guard_enter(&guard);
	int r = functions->epoll_ctl(epfd, op, fd, event);
	if (LIKELY(r == 0)) {
		int saved = errno;
		roots_epoll(epfd, op, fd, op == EPOLL_CTL_DEL ? 0 : event->data.u64);
		errno = saved;
	}
	roots_guard_leave(&guard);
	return r;
}
