/*
 * Hiding the EINTRs that our stop signal causes.
 *
 * SA_RESTART restarts most calls, and those need no wrapper. The list of signal(7), "Interruption of system calls", names those
 * that return EINTR all the same; each has a wrapper in eintr_*.c:
 *
 *     forget old news:   self.eintr_mine = 0
 *     call               the real function (a cancellation point stays one)
 *     EINTR, and mine?   again with the time that is left; else return as it is
 *
 * The stop handler sets eintr_mine, by looking at the frame that it interrupted, which stands right behind a system call
 * instruction, and only when no other unblocked signal is pending:
 *
 *     result -EINTR               EINTR_OURS   the call would not have returned
 *     result >= 0                 EINTR_CUT    a transfer may have been cut short (a write of much to a pipe)
 *
 * When a handler of the program interrupted the call too, ours finds either the entry of that handler (not behind a system
 * call) or that signal pending; so EINTR passes through as it would without us.
 */
#ifndef CGC_PRELOAD_EINTR_H
#define CGC_PRELOAD_EINTR_H

#include "base/stats.h"
#include "heap/self.h"
#include "preload/real.h"
#include <errno.h>

enum { EINTR_OURS = 1, EINTR_CUT = 2 };

/* The call failed: was it ours alone? Then errno is again what it was before the call. */
static inline bool eintr_hide(int errno_before)
{
	if (LIKELY(errno != EINTR || self.eintr_mine != EINTR_OURS))
		return false;
	errno = errno_before;
	stats_add(&stats.eintr_hidden, 1);
	return true;
}

/* Calls without a relative time. The expression is the real call; its value is the result. */
#define EINTR_AGAIN(call) __extension__({ \
	int errno_before_ = errno; \
	__typeof__(call) result_; \
	do { \
		self.eintr_mine = 0; \
		result_ = (call); \
	} while (UNLIKELY(result_ == (__typeof__(call))-1) && eintr_hide(errno_before_)); \
	result_; \
})

/* -- time that is left. Nanoseconds of a clock; EINTR_NEVER is no deadline. -- */
#define EINTR_NEVER UINT64_MAX

static inline uint64_t eintr_clock(clockid_t clock)
{
	struct timespec t = { 0, 0 };
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t eintr_now(void) { return eintr_clock(CLOCK_MONOTONIC); }

static inline uint64_t eintr_deadline(uint64_t start, int64_t seconds, int64_t ns)
{
	return seconds > 8000000000 ? EINTR_NEVER : start + (uint64_t)seconds * 1000000000u + (uint64_t)ns;
}
/* What is left at `now`; false: nothing. */
static inline bool eintr_left(uint64_t deadline, uint64_t now, struct timespec *left)
{
	uint64_t ns = deadline > now ? deadline - now : 0;
	left->tv_sec = (time_t)(ns / 1000000000u);
	left->tv_nsec = (long)(ns % 1000000000u);
	return ns > 0;
}
/* Of a timeout in milliseconds that began at `start`: rounded up, so that no wait ends early. <= 0 stays. */
static inline int eintr_left_ms(int timeout, uint64_t start)
{
	if (timeout <= 0)
		return timeout;
	uint64_t whole = (uint64_t)timeout * 1000000u, gone = eintr_now() - start;
	return gone >= whole ? 0 : (int)((whole - gone + 999999u) / 1000000u);
}

/* glibc's checked and underscored names of wrapped functions: exported by it, declared in no header we include. */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *from_size);
void __chk_fail(void) __attribute__((noreturn));
int __nanosleep(const struct timespec *request, struct timespec *rest);
int __poll(struct pollfd *fds, nfds_t n, int timeout);
int __select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout);
int __sigsuspend(const sigset_t *mask) __attribute__((nonnull(1)));
ssize_t __read(int fd, void *buf, size_t n);
ssize_t __write(int fd, const void *buf, size_t n);
ssize_t __send(int fd, const void *buf, size_t n, int flags);
int __connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size);

#endif
