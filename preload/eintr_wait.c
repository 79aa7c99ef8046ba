/*
 * Waiting for semaphores, signals, messages and asynchronous work.
 *
 * sem_wait and mq_* are restarted by the kernel, and sigwait by glibc: no wrapper for EINTR. sem_timedwait is not: a futex wait with
 * a time returns ERESTART_RESTARTBLOCK, which any handler turns into EINTR, and glibc passes it on. Its time is absolute, so a
 * retry is the same call. pthread_cond_timedwait and its like wait again by themselves.
 *
 * pause returns after any handler. It is retried when the handler was ours alone (eintr.h); sigsuspend likewise, with the
 * same mask: between the two the caller's own mask is back, so a signal that comes there waits for the retry.
 */
#include "preload/eintr.h"
#include "preload/shim.h"

int sem_timedwait(sem_t *sem, const struct timespec *until) { return EINTR_AGAIN(real()->sem_timedwait(sem, until)); }

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
	return EINTR_AGAIN(real()->sem_clockwait(sem, clock, until));
}

int pause(void) { return EINTR_AGAIN(real()->pause()); }

int sigsuspend(const sigset_t *mask)
{
	sigset_t copy;
	mask = signals_without_ours(mask, &copy);
	return EINTR_AGAIN(real()->sigsuspend(mask));
}
int __sigsuspend(const sigset_t *mask) __attribute__((alias("sigsuspend")));

int __sigpause(int sig_or_mask, int is_signal) { return EINTR_AGAIN(real()->__sigpause(sig_or_mask, is_signal)); }
/* <signal.h> gives the name sigpause to one of the two, depending on feature macros: so both by their symbols. */
int sigpause_mask(int mask) __asm__("sigpause");
int sigpause_signal(int signal_number) __asm__("__xpg_sigpause");
int sigpause_mask(int mask) { return __sigpause(mask, 0); }
int sigpause_signal(int signal_number) { return __sigpause(signal_number, 1); }

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	sigset_t copy;
	set = signals_without_ours(set, &copy);
	return EINTR_AGAIN(real()->sigwaitinfo(set, info));
}

/* Only for the set: with a signal of the user's choice, sigwait would take it away from the stop. */
int sigwait(const sigset_t *set, int *signal_number)
{
	sigset_t copy;
	return real()->sigwait(signals_without_ours(set, &copy), signal_number);
}

/* Relative times in a timespec: the time to give to the next call after an EINTR of ours. */
static const struct timespec *rest_of(const struct timespec *timeout, uint64_t start, struct timespec *left)
{
	if (!timeout)
		return NULL;
	eintr_left(eintr_deadline(start, timeout->tv_sec, timeout->tv_nsec), eintr_now(), left);
	return left;
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	const int saved = errno;
	const uint64_t start = timeout ? eintr_now() : 0;
	const struct timespec *next = timeout;
	struct timespec left;
	sigset_t copy;
	set = signals_without_ours(set, &copy);
	for (;; next = rest_of(timeout, start, &left)) {
		self.eintr_mine = 0;
		int r = real()->sigtimedwait(set, info, next);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}

int semop(int id, struct sembuf *ops, size_t n) { return EINTR_AGAIN(real()->semop(id, ops, n)); }

int semtimedop(int id, struct sembuf *ops, size_t n, const struct timespec *timeout)
{
	const int saved = errno;
	const uint64_t start = timeout ? eintr_now() : 0;
	const struct timespec *next = timeout;
	struct timespec left;
	for (;; next = rest_of(timeout, start, &left)) {
		self.eintr_mine = 0;
		int r = real()->semtimedop(id, ops, n, next);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}

int msgsnd(int id, const void *message, size_t n, int flags) { return EINTR_AGAIN(real()->msgsnd(id, message, n, flags)); }

ssize_t msgrcv(int id, void *message, size_t n, long type, int flags)
{
	return EINTR_AGAIN(real()->msgrcv(id, message, n, type, flags));
}

int aio_suspend(const struct aiocb *const list[], int n, const struct timespec *timeout)
{
	const int saved = errno;
	const uint64_t start = timeout ? eintr_now() : 0;
	const struct timespec *next = timeout;
	struct timespec left;
	for (;; next = rest_of(timeout, start, &left)) {
		self.eintr_mine = 0;
		int r = real()->aio_suspend(list, n, next);
		if (LIKELY(r != -1) || !eintr_hide(saved))
			return r;
	}
}
int aio_suspend64(const struct aiocb64 *const list[], int n, const struct timespec *timeout)
{
	return aio_suspend((const struct aiocb *const *)list, n, timeout); /* one layout where off_t has 64 bits */
}

/* Reports by its result, not by errno. */
int gai_suspend(const struct gaicb *const list[], int n, const struct timespec *timeout)
{
	const uint64_t start = timeout ? eintr_now() : 0;
	const struct timespec *next = timeout;
	struct timespec left;
	for (;; next = rest_of(timeout, start, &left)) {
		self.eintr_mine = 0;
		int r = real()->gai_suspend(list, n, next);
		if (r != EAI_INTR || self.eintr_mine != EINTR_OURS)
			return r;
		stats_add(&stats.eintr_hidden, 1);
	}
}

/* TCSBRK waits for the output to drain and returns a plain EINTR. */
int tcdrain(int fd) { return EINTR_AGAIN(real()->tcdrain(fd)); }
