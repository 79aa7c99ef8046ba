/*
 * Keeps the stop signal out of the program's hands, and lets the returns of the program's handlers be counted (eintr.h).
 *
 * On glibc that is signal 33 and little is to do: sigfillset leaves it out, sigprocmask and pthread_sigmask never block
 * it, sigaction refuses it. Only who waits for a set of all bits (memset, and not sigfillset) would take it away: sigwait and its kin
 * and signalfd wait for it no more. A program that blocks it by raw system call makes cycles end early ("a thread did not answer"),
 * which is safe.
 *
 * With signal=N the user chose a real-time signal that programs can name. Then, and only then: it is taken out of each set that
 * blocks signals (also while a handler runs, or ppoll waits) or waits for them, and sigaction and signal answer EINVAL for it,
 * as they do for 32 and 33. sighold and its old relatives are left alone: no program names a signal of the user's choice there.
 */
#include "preload/faults.h"
#include "preload/shim.h"
#include "preload/real.h"
#include "threads/threads.h"
#include <errno.h>
#include <string.h>

int __sigaction(int number, const struct sigaction *action, struct sigaction *old) __THROW;

/* By its bit: sigdelset refuses 33. The kernel's set is one word; a program may have no more. */
const sigset_t *signals_stripped(const sigset_t *set, sigset_t *copy)
{
	const unsigned ours = options.signal ? options.signal : 33;
	memset(copy, 0, sizeof *copy);
	*(uint64_t __attribute__((may_alias)) *)copy = *(const uint64_t __attribute__((may_alias)) *)set & ~(1ull << (ours - 1));
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
	struct sigaction copy;
	if (chosen(number)) {
		errno = EINVAL;
		return -1;
	}
	if (UNLIKELY(options.signal != 0) && action) {
		copy = *action;
		signals_stripped(&action->sa_mask, &copy.sa_mask);
		action = &copy;
	}
	uint64_t mask;
	bool aside = faults_wanted() && faults_step_aside(number, &mask);
	int r = real()->sigaction(number, action, old);
	if (r == 0 && action)
		threads_count_handler(number);
	if (aside)
		faults_step_back(number, mask);
	return r;
}
int __sigaction(int number, const struct sigaction *action, struct sigaction *old) { return sigaction(number, action, old); }

sighandler_t signal(int number, sighandler_t handler)
{
	if (chosen(number)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	uint64_t mask;
	bool aside = faults_wanted() && faults_step_aside(number, &mask);
	sighandler_t before = real()->signal(number, handler);
	if (before != SIG_ERR)
		threads_count_handler(number);
	if (aside)
		faults_step_back(number, mask);
	return before;
}

int signalfd(int fd, const sigset_t *set, int flags)
{
	sigset_t copy;
	return real()->signalfd(fd, signals_to_wait_for(set, &copy), flags);
}
