/* The only pointer is the value of a timer, then of the signal that it queued before it was deleted. */
#include "zoo.h"
#include <signal.h>
#include <time.h>

static timer_t timers[2];
static int number;

static __attribute__((noinline)) void place(void)
{
	for (int i = 0; i < 2; i++) {
		struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = number + i, .sigev_value.sival_ptr = zoo_block() };
		if (timer_create(CLOCK_MONOTONIC, &e, &timers[i]))
			exit(2);
		e.sigev_value.sival_ptr = NULL;
		__asm__ volatile("" : : "r"(&e) : "memory");
	}
}

static void fire(int i)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	sigset_t pending;
	if (timer_settime(timers[i], 0, &soon, NULL))
		exit(2);
	do {
		usleep(1000);
		sigpending(&pending);
	} while (!sigismember(&pending, number + i));
}

static int take(int i, int optional)
{
	sigset_t set;
	siginfo_t info;
	const struct timespec now = { 0, 0 };
	sigemptyset(&set);
	sigaddset(&set, number + i);
	if (sigtimedwait(&set, &info, &now) != number + i)
		return optional ? 0 : 2; /* newer kernels take the signals of a deleted timer back */
	return zoo_verdict(info.si_value.sival_ptr);
}

int main(void)
{
	sigset_t set;
	zoo_needs_collector();
	number = SIGRTMIN;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaddset(&set, number + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	place();
	fire(1);
	if (timer_delete(timers[1]))
		return 2;
	zoo_collect(ZOO_SIZE);
	fire(0);
	int r = take(0, 0);
	return r ? r : take(1, 1);
}
