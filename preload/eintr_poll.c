/*
 * Waiting for descriptors: poll, ppoll, select, pselect and the epoll_wait family.
 *
 * A retry waits for the time left until the deadline, rounded up to the unit of the call. A retry after the deadline asks
 * once more with no time at all, so what became ready during the stop is still reported. It is made by the form that sets a
 * mask (eintr.h), with the caller's mask if it gave one, else with the thread's own. The plain form is the fallback for a frame that our handler
 * did not recognize (another library stands between us and the system call).
 */
#include "preload/eintr.h"
#include "preload/shim.h"

/* What a retry needs. */
struct call {
	struct eintr_wait wait;
	const sigset_t *mask; /* the caller's; NULL: none */
	int n;
	int fd;
	void *at[3];
	bool again;           /* a retry was made */
};

static int again_ppoll(void *p, const sigset_t *own)
{
	struct call *c = p;
	return real()->ppoll(c->at[0], (nfds_t)(unsigned)c->n, eintr_rest(&c->wait), c->mask ? c->mask : own);
}

static int again_pselect(void *p, const sigset_t *own)
{
	struct call *c = p;
	c->again = true;
	return real()->pselect(c->n, c->at[0], c->at[1], c->at[2], eintr_rest(&c->wait), c->mask ? c->mask : own);
}

static int left_ms(struct eintr_wait *w)
{
	const struct timespec *t = eintr_rest(w);
	if (!t)
		return -1;
	uint64_t ms = (uint64_t)t->tv_sec * 1000u + (uint64_t)(t->tv_nsec + 999999) / 1000000u;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* Not by epoll_pwait2 (5.11): a kernel may lack it. */
static int again_epoll(void *p, const sigset_t *own)
{
	struct call *c = p;
	return real()->epoll_pwait(c->fd, c->at[0], c->n, left_ms(&c->wait), c->mask ? c->mask : own);
}

static int again_epoll2(void *p, const sigset_t *own)
{
	struct call *c = p;
	return real()->epoll_pwait2(c->fd, c->at[0], c->n, eintr_rest(&c->wait), c->mask ? c->mask : own);
}

/* first: the call as the program made it. plain: again without a mask of ours. form: again with one. */
#define WAIT(call_, first, plain, form) __extension__({ \
	struct eintr_scope scope_ = EINTR_SCOPE; \
	const int saved_ = errno; \
	eintr_arm(&scope_); \
	int r_ = (first); \
	while (UNLIKELY(r_ == -1) && eintr_hide(&scope_, saved_)) { \
		if (scope_.masked) { \
			r_ = eintr_masked(&scope_, saved_, form, &call_); \
			break; \
		} \
		eintr_arm(&scope_); \
		r_ = (plain); \
	} \
	eintr_leave(&scope_); \
	r_; \
})

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct call c = { eintr_wait_ms(timeout), NULL, (int)n, 0, { fds }, false };
	return WAIT(c, real()->poll(fds, n, timeout), real()->poll(fds, n, left_ms(&c.wait)), again_ppoll);
}
int __poll(struct pollfd *fds, nfds_t n, int timeout) __attribute__((alias("poll")));

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;
	struct call c = { eintr_wait_for(timeout), signals_without_ours(mask, &copy), (int)n, 0, { fds }, false };
	return WAIT(c, real()->ppoll(fds, n, timeout, c.mask), real()->ppoll(fds, n, eintr_rest(&c.wait), c.mask), again_ppoll);
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

/* Linux writes the time left into *timeout, on EINTR too; the sets are written on success only. After a retry, which is a pselect,
 * that is ours to do. */
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	struct timespec t = { 0, 0 };
	if (timeout) /* microseconds may stand above a second: the kernel carries them */
		t = (struct timespec){ timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000 };
	struct call c = { eintr_wait_for(timeout ? &t : NULL), NULL, n, 0, { r, w, e }, false };
	int got = WAIT(c, real()->select(n, r, w, e, timeout), again_pselect(&c, NULL), again_pselect);
	if (UNLIKELY(c.again) && timeout) {
		const struct timespec *left = got == 0 ? NULL : eintr_rest(&c.wait);
		*timeout = left ? (struct timeval){ left->tv_sec, left->tv_nsec / 1000 } : (struct timeval){ 0, 0 };
	}
	return got;
}
int __select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout) __attribute__((alias("select")));

int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;
	struct call c = { eintr_wait_for(timeout), signals_without_ours(mask, &copy), n, 0, { r, w, e }, false };
	return WAIT(c, real()->pselect(n, r, w, e, timeout, c.mask), again_pselect(&c, NULL), again_pselect);
}

int epoll_wait(int epfd, struct epoll_event *events, int room, int timeout)
{
	struct call c = { eintr_wait_ms(timeout), NULL, room, epfd, { events }, false };
	return WAIT(c, real()->epoll_wait(epfd, events, room, timeout), real()->epoll_wait(epfd, events, room, left_ms(&c.wait)), again_epoll);
}

int epoll_pwait(int epfd, struct epoll_event *events, int room, int timeout, const sigset_t *mask)
{
	sigset_t copy;
	struct call c = { eintr_wait_ms(timeout), signals_without_ours(mask, &copy), room, epfd, { events }, false };
	return WAIT(c, real()->epoll_pwait(epfd, events, room, timeout, c.mask), again_epoll(&c, NULL), again_epoll);
}

int epoll_pwait2(int epfd, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;
	struct call c = { eintr_wait_for(timeout), signals_without_ours(mask, &copy), room, epfd, { events }, false };
	return WAIT(c, real()->epoll_pwait2(epfd, events, room, timeout, c.mask), again_epoll2(&c, NULL), again_epoll2);
}
