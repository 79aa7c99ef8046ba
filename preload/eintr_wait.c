/*
 * Waiting for semaphores, signals, messages and asynchronous work.
 *
 * sem_wait and mq_* are restarted by the kernel, and sigwait by glibc: no wrapper for EINTR. sem_timedwait is not: a futex wait with
 * a time returns ERESTART_RESTARTBLOCK, which any handler turns into EINTR, and glibc passes it on. Its time is absolute, so a
 * retry is the same call. pthread_cond_timedwait and its like wait again by themselves.
 *
 * pause and sigsuspend return after any handler. When that was ours alone they wait again by sigsuspend, which sets the mask of
 * before for its own time. The others have no such form: eintr.h tells what that leaves open.
 */
#include "preload/eintr.h"
#include "preload/flight.h"
#include "preload/shim.h"
#include <string.h>

/* Waiting with a time in a timespec: `next` is what is left after an EINTR of ours. */
#define TIMED_AGAIN(timeout, next, call) __extension__({ \
	struct eintr_scope scope_ = EINTR_SCOPE; \
	struct eintr_wait wait_ = eintr_wait_for(timeout); \
	const int saved_ = errno; \
	const struct timespec *next = (timeout); \
	eintr_arm(&scope_); \
	int r_ = (call); \
	while (UNLIKELY(r_ == -1) && eintr_hide(&scope_, saved_) && eintr_resume(&scope_)) { \
		next = eintr_rest(&wait_); \
		eintr_arm(&scope_); \
		r_ = (call); \
	} \
	eintr_leave(&scope_); \
	r_; \
})

int sem_timedwait(sem_t *sem, const struct timespec *until) { return EINTR_AGAIN(real()->sem_timedwait(sem, until)); }

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
	return EINTR_AGAIN(real()->sem_clockwait(sem, clock, until));
}

static int again_suspend(void *mask, const sigset_t *own) { return real()->sigsuspend(mask ? mask : own); }

static int suspend(const sigset_t *mask)
{
	struct eintr_scope scope = EINTR_SCOPE;
	const int saved = errno;
	int r;
	for (;;) {
		eintr_arm(&scope);
		r = mask ? real()->sigsuspend(mask) : real()->pause();
		if (r != -1 || !eintr_hide(&scope, saved))
			break;
		if (scope.masked) {
			r = eintr_masked(&scope, saved, again_suspend, (void *)mask);
			break;
		}
	}
	eintr_leave(&scope);
	return r;
}

int pause(void) { return suspend(NULL); }

int sigsuspend(const sigset_t *mask)
{
	sigset_t copy;
	return suspend(signals_without_ours(mask, &copy));
}
int __sigsuspend(const sigset_t *mask) __attribute__((alias("sigsuspend")));

/* What sigpause of either standard calls: to wait with the present mask but for one signal, or with an old BSD mask. */
int __sigpause(int sig_or_mask, int is_signal)
{
	sigset_t set;
	sigemptyset(&set);
	if (!is_signal)
		memcpy(&set, &sig_or_mask, sizeof sig_or_mask);
	else if (real()->sigprocmask(SIG_BLOCK, NULL, &set) < 0 || sigdelset(&set, sig_or_mask) < 0)
		return -1;
	return sigsuspend(&set);
}
/* <signal.h> gives the name sigpause to one of the two, depending on feature macros: so both by their symbols. */
int sigpause_mask(int mask) __asm__("sigpause");
int sigpause_signal(int signal_number) __asm__("__xpg_sigpause");
int sigpause_mask(int mask) { return __sigpause(mask, 0); }
int sigpause_signal(int signal_number) { return __sigpause(signal_number, 1); }

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	sigset_t copy;
	set = signals_to_wait_for(set, &copy);
	return EINTR_AGAIN(real()->sigwaitinfo(set, info));
}

/* Only for the set: sigwait would take the signal away from the stop. */
int sigwait(const sigset_t *set, int *signal_number)
{
	sigset_t copy;
	return real()->sigwait(signals_to_wait_for(set, &copy), signal_number);
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	sigset_t copy;
	set = signals_to_wait_for(set, &copy);
	return TIMED_AGAIN(timeout, next, real()->sigtimedwait(set, info, next));
}

int semop(int id, struct sembuf *ops, size_t n) { return EINTR_AGAIN(real()->semop(id, ops, n)); }

int semtimedop(int id, struct sembuf *ops, size_t n, const struct timespec *timeout)
{
	return TIMED_AGAIN(timeout, next, real()->semtimedop(id, ops, n, next));
}

/* n bytes behind the type, which may be a pointer as well. */
int msgsnd(int id, const void *message, size_t n, int flags)
{
	size_t whole = n <= FLIGHT_OUT ? sizeof(long) + n : n;
	uint32_t before = flight_before(FLIGHT_SYSV, id, message, whole);
	int r = EINTR_AGAIN(real()->msgsnd(id, message, n, flags));
	flight_after(FLIGHT_SYSV, id, message, whole, r == 0 ? (ssize_t)whole : -1, before);
	return r;
}

ssize_t msgrcv(int id, void *message, size_t n, long type, int flags)
{
	ssize_t r = EINTR_AGAIN(real()->msgrcv(id, message, n, type, flags));
	if (r >= 0 && !(flags & MSG_COPY))
		flight_read(FLIGHT_SYSV, id, message, sizeof(long) + (size_t)r, (ssize_t)sizeof(long) + r);
	return r;
}

int aio_suspend(const struct aiocb *const list[], int n, const struct timespec *timeout)
{
	return TIMED_AGAIN(timeout, next, real()->aio_suspend(list, n, next));
}
int aio_suspend64(const struct aiocb64 *const list[], int n, const struct timespec *timeout)
{
	return aio_suspend((const struct aiocb *const *)list, n, timeout); /* one layout where off_t has 64 bits */
}

/* Reports by its result, not by errno. */
int gai_suspend(const struct gaicb *const list[], int n, const struct timespec *timeout)
{
	struct eintr_scope scope = EINTR_SCOPE;
	struct eintr_wait wait = eintr_wait_for(timeout);
	const struct timespec *next = timeout;
	const int saved = errno;
	int r;
	for (;; next = eintr_rest(&wait)) {
		eintr_arm(&scope);
		r = real()->gai_suspend(list, n, next);
		if (r != EAI_INTR || !eintr_ours(&scope) || !eintr_resume(&scope))
			break;
	}
	errno = saved;
	eintr_leave(&scope);
	return r;
}

/* TCSBRK waits for the output to drain and returns a plain EINTR. */
int tcdrain(int fd) { return EINTR_AGAIN(real()->tcdrain(fd)); }
