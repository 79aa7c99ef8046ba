/* The only pointers are values of signals that are pending: for the process, for one thread. Once they are taken, nothing holds them. */
#include "zoo.h"
#include <errno.h>
#include <signal.h>

static int number;

static __attribute__((noinline)) void place(void)
{
	union sigval value = { .sival_ptr = zoo_block() };
	if (sigqueue(getpid(), number, value))
		exit(2);
	value.sival_ptr = zoo_block();
	if (pthread_sigqueue(pthread_self(), number + 1, value))
		exit(2);
	value.sival_ptr = NULL;
	__asm__ volatile("" : : "r"(&value) : "memory");
}

static uintptr_t hidden;

static __attribute__((noinline)) int take(const sigset_t *set)
{
	siginfo_t info;
	if (sigwaitinfo(set, &info) < 0)
		return 2;
	int r = zoo_verdict(info.si_value.sival_ptr);
	hidden = kit_hide((uintptr_t)info.si_value.sival_ptr);
	memset(&info, 0, sizeof info);
	__asm__ volatile("" : : "r"(&info) : "memory");
	return r;
}

int main(void)
{
	sigset_t set;
	zoo_needs_collector();
	number = SIGRTMIN;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaddset(&set, number + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	place();
	zoo_collect(ZOO_SIZE);
	int r = take(&set);
	r = r ? r : take(&set);
	if (r)
		return r;
	zoo_collect(ZOO_SIZE);
	zoo_collect(ZOO_SIZE);
	if (kit_intact((const void *)kit_hide(hidden), 0, ZOO_SIZE, ZOO_ID)) {
		fprintf(stderr, "zoo: a value that was delivered is still held\n");
		return 1;
	}
	return 0;
}
