/*
 * Sleeping: nanosleep, clock_nanosleep, usleep, sleep, thrd_sleep.
 *
 * A relative sleep goes on until the deadline that is known from its start, not for the rest that the kernel reports: each
 * stop would add its own length to that. The caller's `rest` is written only when EINTR is returned, as without us; the
 * kernel writes ours, because `request` and `rest` are often the same variable and the request is needed again.
 */
#include "preload/eintr.h"

/* Relative sleeps on the two settable clocks are measured by the kernel on the monotonic one: setting the time does not move them. */
static clockid_t measured_on(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_TAI || clock == CLOCK_REALTIME_ALARM ? CLOCK_MONOTONIC : clock;
}

/* 0 or an error number; errno as before. */
static int sleep_relative(clockid_t clock, const struct timespec *request, struct timespec *rest)
{
	const clockid_t measure = measured_on(clock);
	const uint64_t start = eintr_clock(measure);
	struct timespec left, next;
	uint64_t deadline = 0;
	for (;;) {
		self.eintr_mine = 0;
		int r = real()->clock_nanosleep(clock, 0, deadline ? &next : request, &left);
		if (r != EINTR)
			return r;
		if (self.eintr_mine != EINTR_OURS)
			break;
		stats_add(&stats.eintr_hidden, 1);
		if (!deadline) /* the kernel took the request, so it can be read */
			deadline = eintr_deadline(start, request->tv_sec, request->tv_nsec);
		if (!eintr_left(deadline, eintr_clock(measure), &next))
			return 0;
	}
	if (rest)
		*rest = left;
	return EINTR;
}

int nanosleep(const struct timespec *request, struct timespec *rest)
{
	int saved = errno, r = sleep_relative(CLOCK_REALTIME, request, rest);
	errno = r ? r : saved;
	return r ? -1 : 0;
}
int __nanosleep(const struct timespec *request, struct timespec *rest) __attribute__((alias("nanosleep")));

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest)
{
	int r;
	if (!(flags & TIMER_ABSTIME))
		return sleep_relative(clock, request, rest);
	do {
		self.eintr_mine = 0;
		r = real()->clock_nanosleep(clock, flags, request, rest);
		if (LIKELY(r != EINTR) || self.eintr_mine != EINTR_OURS)
			return r;
		stats_add(&stats.eintr_hidden, 1);
	} while (true);
}

int usleep(useconds_t us)
{
	struct timespec request = { us / 1000000, (long)(us % 1000000) * 1000 };
	int saved = errno, r = sleep_relative(CLOCK_REALTIME, &request, NULL);
	errno = r ? r : saved;
	return r ? -1 : 0;
}

/* The seconds that were not slept, rounded down, as glibc does. */
unsigned sleep(unsigned seconds)
{
	struct timespec request = { seconds, 0 }, rest;
	int saved = errno;
	if (sleep_relative(CLOCK_REALTIME, &request, &rest) == 0) {
		errno = saved;
		return 0;
	}
	errno = EINTR;
	return (unsigned)rest.tv_sec;
}

int thrd_sleep(const struct timespec *request, struct timespec *rest)
{
	int r = sleep_relative(CLOCK_REALTIME, request, rest);
	return r == 0 ? 0 : r == EINTR ? -1 : -2;
}
