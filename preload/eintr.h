/*
 * Hiding the EINTRs that our stop signal causes.
 *
 * SA_RESTART restarts most calls, and those need no wrapper. The list of signal(7), "Interruption of system calls", names those
 * that return EINTR all the same; each has a wrapper in eintr_*.c:
 *
 *     eintr_arm          old news are forgotten; the stop handler may know the wrapper's frame
 *     call               the real function (a cancellation point stays one)
 *     eintr_hide         EINTR, and ours? Again, with the time that is left; else return as it is
 *     eintr_leave        on every way out
 *
 * The stop handler sets eintr_mine, by looking at the frame that it interrupted, which stands right behind a system call
 * instruction, and only when no other unblocked signal is pending:
 *
 *     result -EINTR               EINTR_OURS   the call would not have returned
 *     result >= 0                 EINTR_CUT    a transfer may have been cut short (a write of much to a pipe)
 *
 * When a handler of the program interrupted the call too, ours finds either the entry of that handler (not behind a system
 * call) or that signal pending; so EINTR passes through as it would without us.
 *
 * A signal that comes after ours, but before the wrapper waits again, must end the wait too (a loop around pause or sleep waits
 * for just that). So our handler leaves the thread with its signals blocked (self.eintr_masked) if the call was made by a
 * wrapper, and the wrapper
 *
 *     waits again by a call that sets the mask for its own time: sigsuspend, ppoll, pselect, epoll_pwait (eintr_masked), or
 *     where there is none, sets the mask back, and returns EINTR if a signal was waiting for that (eintr_resume).
 *
 * What remains: for the second kind (semop, msgrcv, msgsnd, sem_timedwait, sigtimedwait, aio_suspend, tcdrain; sleeps on clocks that
 * poll does not know; reads from FUSE), a signal in the instructions between eintr_resume's look and the call's sleep runs its handler
 * and the call sleeps on. And a thread that is cancelled between our handler
 * and the wrapper's look (a microsecond) runs its cleanup handlers with signals blocked; the next stop mends it.
 */
#ifndef CGC_PRELOAD_EINTR_H
#define CGC_PRELOAD_EINTR_H

#include "base/stats.h"
#include "heap/self.h"
#include "os/os.h"
#include "preload/real.h"
#include "threads/threads.h"
#include <errno.h>

enum { EINTR_OURS = 1, EINTR_CUT = 2 };

/* One run of a wrapper, in its frame. The stop handler looks at the first word only; no program handler runs between its
 * note in self and eintr_hide, which moves it here. */
struct eintr_scope {
	uintptr_t cookie;
	uint64_t mask;   /* the thread's own, while masked */
	bool masked;
};
#define EINTR_SCOPE { 0, 0, false }

/* Before each attempt. */
static inline void eintr_arm(struct eintr_scope *s)
{
	if (UNLIKELY(self.eintr_masked)) { /* a wrapper that was left by longjmp or cancellation */
		threads_restore_signals(self.eintr_mask);
		self.eintr_masked = 0;
	}
	*(volatile uintptr_t *)&s->cookie = (uintptr_t)s ^ SELF_EINTR_COOKIE;
	self.eintr_mine = 0;
	self.eintr_handled = self.handled;
	store_release(&self.eintr_scope, (uintptr_t)s); /* the handler of this thread reads it: after the cookie */
}

static inline void eintr_take(struct eintr_scope *s)
{
	if (!self.eintr_masked)
		return;
	if (!s->masked)
		s->mask = self.eintr_mask;
	s->masked = true;
	self.eintr_masked = 0;
}

/* At the end, however the call came out. errno stays. */
static inline void eintr_leave(struct eintr_scope *s)
{
	store_relaxed(&self.eintr_scope, 0);
	if (UNLIKELY(self.eintr_masked))
		eintr_take(s);
	if (UNLIKELY(s->masked)) {
		s->masked = false;
		threads_restore_signals(s->mask);
	}
}

/* The call failed: was it ours alone? Then errno is again what it was before the call. */
static inline bool eintr_ours(struct eintr_scope *s)
{
	if (self.eintr_mine != EINTR_OURS || load_relaxed(&self.handled) != self.eintr_handled)
		return false;
	eintr_take(s);
	stats_add(&stats.eintr_hidden, 1);
	return true;
}
static inline bool eintr_hide(struct eintr_scope *s, int errno_before)
{
	if (LIKELY(errno != EINTR) || !eintr_ours(s))
		return false;
	errno = errno_before;
	return true;
}

/* Before a retry that sets no mask: signals are as the program had them. false: one was waiting, so the call ends (errno is EINTR). */
static inline bool eintr_resume(struct eintr_scope *s)
{
	if (!s->masked)
		return true;
	s->masked = false;
	if (!threads_restore_signals_felt(s->mask) && load_relaxed(&self.handled) == self.eintr_handled)
		return true;
	errno = EINTR;
	return false;
}

/* Waits again and again by fn, with the thread's own mask as an argument, until the result is not an EINTR of ours; then leaves.
 * fn sets errno and returns -1 as system calls do. Should the thread be cancelled, its mask is put back first. */
int eintr_masked(struct eintr_scope *s, int errno_before, int (*fn)(void *call, const sigset_t *mask), void *call);

/* Calls without a relative time and without a form that sets a mask. The expression is the real call; its value the result. */
#define EINTR_AGAIN(call) __extension__({ \
	struct eintr_scope scope_ = EINTR_SCOPE; \
	int errno_before_ = errno; \
	__typeof__(call) result_; \
	do { \
		eintr_arm(&scope_); \
		result_ = (call); \
	} while (UNLIKELY(result_ == (__typeof__(call))-1) && eintr_hide(&scope_, errno_before_) && eintr_resume(&scope_)); \
	eintr_leave(&scope_); \
	result_; \
})

/* -- time that is left. Nanoseconds of a clock; EINTR_NEVER is no deadline (the time left is then very long). -- */
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
/* A wait of limited or unlimited time, taken at its start. A time that the program gave by address is read after the first attempt only: an
 * address that is bad is the kernel's to refuse. */
struct eintr_wait {
	uint64_t deadline;
	struct timespec left;
	const struct timespec *given; /* not read yet */
	uint64_t start;
};
static inline struct eintr_wait eintr_wait_ms(int timeout)
{
	return (struct eintr_wait){ .deadline = timeout > 0 ? eintr_now() + (uint64_t)timeout * 1000000u : timeout == 0 ? 0 : EINTR_NEVER };
}
static inline struct eintr_wait eintr_wait_for(const struct timespec *t)
{
	return (struct eintr_wait){ .deadline = EINTR_NEVER, .given = t, .start = t ? eintr_now() : 0 };
}
/* For the next call, after an EINTR: NULL waits for ever. */
static inline const struct timespec *eintr_rest(struct eintr_wait *w)
{
	if (w->given) /* sane, or the kernel had refused it */
		w->deadline = eintr_deadline(w->start, w->given->tv_sec, w->given->tv_nsec);
	w->given = NULL;
	if (w->deadline == EINTR_NEVER)
		return NULL;
	eintr_left(w->deadline, eintr_now(), &w->left);
	return &w->left;
}

/* Writes n bytes for the program to where it asked, as the kernel does. false: it can't be written, the call's error is EFAULT. */
static inline bool eintr_tell(void *to, const void *from, size_t n)
{
	const long written = os_copy_self(to, (uintptr_t)from, n);
	if (written == -ENOSYS || written == -EPERM) /* a filter: then as plainly as libc would */
		__builtin_memcpy(to, from, n);
	return written == (long)n || written == -ENOSYS || written == -EPERM;
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
int __sigpause(int sig_or_mask, int is_signal);
int __connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size);

#endif
