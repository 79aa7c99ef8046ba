/* The only pointer is the value of a timer that starts a thread: glibc's list of such timers holds it. */
#include "zoo.h"
#include <signal.h>
#include <time.h>

static timer_t timer;

static void fired(union sigval value)
{
	zoo_result = zoo_verdict(value.sival_ptr);
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void place(void)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = fired, .sigev_value.sival_ptr = zoo_block() };
	if (timer_create(CLOCK_MONOTONIC, &e, &timer))
		exit(2);
	e.sigev_value.sival_ptr = NULL;
	__asm__ volatile("" : : "r"(&e) : "memory");
}

int main(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	if (timer_settime(timer, 0, &soon, NULL))
		return 2;
	while (!__atomic_load_n(&zoo_ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	return zoo_result;
}
