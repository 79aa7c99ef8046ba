/* Sets of all 64 signals, made by sigfillset and by memset: who waits for them gets none of ours, and every handler stays as it was. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>

static sigset_t every, filled;
static volatile int stop_all;
static void nothing(int s) {}

static void *in_sigtimedwait(void *set)
{
	struct timespec t = { 0, 400000000 };
	siginfo_t info;
	long strange = 0;
	pthread_sigmask(SIG_BLOCK, &filled, NULL);
	for (int i = 0; i < 2; i++) {
		int r = sigtimedwait(set, &info, &t);
		strange += r != -1 || errno != EAGAIN;
	}
	return (void *)strange;
}
static void *in_sigwait(void *set)
{
	int s = 0;
	pthread_sigmask(SIG_BLOCK, &filled, NULL);
	long r = sigwait(set, &s);
	return (void *)(r * 1000 + s);
}
static void *in_sigwaitinfo(void *set)
{
	siginfo_t info;
	pthread_sigmask(SIG_BLOCK, &filled, NULL);
	long r = sigwaitinfo(set, &info);
	return (void *)(r == info.si_signo ? r : -1);
}
static void *in_signalfd(void *set)
{
	struct signalfd_siginfo info;
	pthread_sigmask(SIG_BLOCK, &filled, NULL);
	int fd = signalfd(-1, set, SFD_CLOEXEC);
	struct pollfd p = { fd, POLLIN, 0 };
	long s = poll(&p, 1, 400), n = 0;
	if (s == 0 && (n = read(fd, &info, sizeof info)) == sizeof info) /* sleeps until the signal below comes */
		s = info.ssi_signo;
	close(fd);
	return (void *)s;
}

static void *result(void *(*fn)(void *), void *set, int then)
{
	pthread_t t;
	void *r;
	pthread_create(&t, NULL, fn, set);
	if (then) {
		usleep(600000);
		pthread_kill(t, then);
	}
	pthread_join(t, &r);
	return r;
}

int main(void)
{
	memset(&every, 0xff, sizeof every);
	sigfillset(&filled);
	int bad = 0, refused = 0;
	for (int s = 1; s <= 64; s++) {
		struct sigaction a = { .sa_handler = nothing, .sa_flags = SA_RESTART }, old;
		int r = sigaction(s, &a, NULL);
		refused += r != 0;
		if (r == 0 && (sigaction(s, NULL, &old) || old.sa_handler != nothing || (old.sa_flags & ~0x04000000) != SA_RESTART))
			bad++;
		if (r == 0 && (signal(s, SIG_IGN) != nothing || signal(s, SIG_DFL) != SIG_IGN))
			bad++;
	}
	CHECK("sigaction and signal on everything", bad == 0 && refused == 4); /* 9, 19, 32, 33 */
	CHECK("sigtimedwait, sigfillset", result(in_sigtimedwait, &filled, 0) == NULL);
	CHECK("sigtimedwait, all bits", result(in_sigtimedwait, &every, 0) == NULL);
	CHECK("sigwaitinfo, all bits", result(in_sigwaitinfo, &every, SIGUSR1) == (void *)(long)SIGUSR1);
	CHECK("sigwait, all bits", result(in_sigwait, &every, SIGRTMIN + 3) == (void *)(long)(SIGRTMIN + 3));
	CHECK("signalfd, sigfillset", result(in_signalfd, &filled, SIGUSR2) == (void *)(long)SIGUSR2);
	CHECK("signalfd, all bits", result(in_signalfd, &every, SIGUSR2) == (void *)(long)SIGUSR2);
	sigset_t pending;
	sigprocmask(SIG_SETMASK, &every, NULL);
	usleep(50000);
	CHECK("everything blocked, nothing pending", sigpending(&pending) == 0 && sigisemptyset(&pending));
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK("the mask", sigismember(&now, SIGRTMAX) == 1 && sigismember(&now, 33) == 0 && sigismember(&now, SIGTERM) == 1);
	DONE();
}
