/*
 * Waiting for descriptors: poll, ppoll, select, pselect and the epoll_wait family.
 *
 * Each retry makes the same system call again (never a finer relative of it: a seccomp filter of the program may allow only
 * the one it uses), with the time left until the deadline, rounded up to the unit of the call. A retry after the deadline asks
 * once more with no time at all, so what became ready during the stop is still reported. The mask that ppoll and its like set
 * while they wait is set again by the retry, in one step with the wait; signals that came in between are pending and end it.
 */
#include "preload/eintr.h"
#include "preload/shim.h"

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	const int saved = errno;
	const uint64_t start = timeout > 0 ? eintr_now() : 0;
	for (int left = timeout;; left = eintr_left_ms(timeout, start)) {
		self.eintr_mine = 0;
		int r = real()->poll(fds, n, left);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}
int __poll(struct pollfd *fds, nfds_t n, int timeout) __attribute__((alias("poll")));

/* A timeout given as timespec: when it ends, and the time to give to the next call. NULL waits for ever. */
struct wait {
	const struct timespec *next;
	uint64_t start;
	struct timespec left;
};

static void wait_begin(struct wait *w, const struct timespec *timeout)
{
	w->next = timeout;
	w->start = timeout ? eintr_now() : 0;
}

/* After an EINTR of ours: the kernel took *timeout, so it is valid. */
static void wait_again(struct wait *w, const struct timespec *timeout)
{
	if (!timeout)
		return;
	eintr_left(eintr_deadline(w->start, timeout->tv_sec, timeout->tv_nsec), eintr_now(), &w->left);
	w->next = &w->left;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	const int saved = errno;
	sigset_t copy;
	struct wait w;
	mask = signals_without_ours(mask, &copy);
	wait_begin(&w, timeout);
	for (;; wait_again(&w, timeout)) {
		self.eintr_mine = 0;
		int r = real()->ppoll(fds, n, w.next, mask);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	if (room / sizeof *fds < n)
		__chk_fail();
	return poll(fds, n, timeout);
}

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	if (room / sizeof *fds < n)
		__chk_fail();
	return ppoll(fds, n, timeout, mask);
}

/* Linux writes the time left into *timeout, on EINTR too; the sets are written on success only. */
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	const int saved = errno;
	struct timeval whole = { 0, 0 };
	uint64_t start = 0;
	if (timeout) {
		whole = *timeout;
		start = eintr_now();
	}
	for (;;) {
		self.eintr_mine = 0;
		int got = real()->select(n, r, w, e, timeout);
		if (LIKELY(got != -1) || !eintr_hide(saved))
			return got;
		if (timeout) {
			struct timespec left;
			uint64_t end = eintr_deadline(start, whole.tv_sec, 0);
			if (end != EINTR_NEVER)
				end += (uint64_t)whole.tv_usec * 1000u + 999u; /* rounded up below */
			eintr_left(end, eintr_now(), &left);
			timeout->tv_sec = left.tv_sec;
			timeout->tv_usec = left.tv_nsec / 1000;
		}
	}
}
int __select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout) __attribute__((alias("select")));

int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
	const int saved = errno;
	sigset_t copy;
	struct wait again;
	mask = signals_without_ours(mask, &copy);
	wait_begin(&again, timeout);
	for (;; wait_again(&again, timeout)) {
		self.eintr_mine = 0;
		int got = real()->pselect(n, r, w, e, again.next, mask);
		if (LIKELY(got != -1) || !eintr_hide(saved))
			return got;
	}
}

int epoll_wait(int epfd, struct epoll_event *events, int room, int timeout)
{
	const int saved = errno;
	const uint64_t start = timeout > 0 ? eintr_now() : 0;
	for (int left = timeout;; left = eintr_left_ms(timeout, start)) {
		self.eintr_mine = 0;
		int r = real()->epoll_wait(epfd, events, room, left);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}

int epoll_pwait(int epfd, struct epoll_event *events, int room, int timeout, const sigset_t *mask)
{
	const int saved = errno;
	const uint64_t start = timeout > 0 ? eintr_now() : 0;
	sigset_t copy;
	mask = signals_without_ours(mask, &copy);
	for (int left = timeout;; left = eintr_left_ms(timeout, start)) {
		self.eintr_mine = 0;
		int r = real()->epoll_pwait(epfd, events, room, left, mask);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}

int epoll_pwait2(int epfd, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask)
{
	const int saved = errno;
	sigset_t copy;
	struct wait w;
	mask = signals_without_ours(mask, &copy);
	wait_begin(&w, timeout);
	for (;; wait_again(&w, timeout)) {
		self.eintr_mine = 0;
		int r = real()->epoll_pwait2(epfd, events, room, w.next, mask);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}
