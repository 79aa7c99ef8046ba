/*
 * Keeps the stop signal out of the program's hands.
 *
 * On glibc that is signal 33 and nothing is to do: sigfillset leaves it out, sigprocmask and pthread_sigmask never block
 * it, sigaction refuses it. A program that blocks it by raw system call makes cycles end early ("a thread did not answer"),
 * which is safe.
 *
 * With signal=N the user chose a real-time signal that programs can name. Then, and only then: it is taken out of each set that
 * blocks signals (also while a handler runs, or ppoll waits) or waits for them, and sigaction and signal answer EINVAL for it,
 * as they do for 32 and 33. sighold and its old relatives are left alone: no program names a signal of the user's choice there.
 */
#include "preload/shim.h"
#include "preload/real.h"
#include <errno.h>

int __sigaction(int number, const struct sigaction *action, struct sigaction *old) __THROW;

const sigset_t *signals_stripped(const sigset_t *set, sigset_t *copy)
{
	*copy = *set;
	sigdelset(copy, (int)options.signal);
	return copy;
}

static inline bool chosen(int number) { return UNLIKELY(options.signal != 0) && number == (int)options.signal; }

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	if (how != SIG_UNBLOCK)
		set = signals_without_ours(set, &copy);
	return real()->sigprocmask(how, set, old);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	if (how != SIG_UNBLOCK)
		set = signals_without_ours(set, &copy);
	return real()->pthread_sigmask(how, set, old);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (chosen(number)) {
		errno = EINVAL;
		return -1;
	}
	if (LIKELY(options.signal == 0 || !action))
		return real()->sigaction(number, action, old);
	struct sigaction copy = *action;
	sigdelset(&copy.sa_mask, (int)options.signal);
	return real()->sigaction(number, &copy, old);
}
int __sigaction(int number, const struct sigaction *action, struct sigaction *old) { return sigaction(number, action, old); }

sighandler_t signal(int number, sighandler_t handler)
{
	if (chosen(number)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return real()->signal(number, handler);
}
