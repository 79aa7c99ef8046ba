/*
 * Sleeping: nanosleep, clock_nanosleep, usleep, sleep, thrd_sleep.
 *
 * A relative sleep goes on until the deadline that is known from its start, not for the rest that the kernel reports: each
 * stop would add its own length to that. The caller's `rest` is written only when EINTR is returned, as without us; the
 * kernel writes ours, because `request` and `rest` are often the same variable and the request is needed again.
 *
 * No sleep takes a mask, so a retry is a ppoll of nothing (eintr.h). It measures on the monotonic clock, as sleeps do but those
 * until a time of a settable clock, on the boot clock or on CPU time: these sleep again by the same call.
 */
#include "preload/eintr.h"

struct sleep {
	clockid_t measure;
	uint64_t deadline; /* on that clock */
};

/* Relative sleeps on the two settable clocks are measured by the kernel on the monotonic one: setting the time does not move them. */
static clockid_t measured_on(clockid_t clock, int flags)
{
	bool settable = clock == CLOCK_REALTIME || clock == CLOCK_TAI || clock == CLOCK_REALTIME_ALARM;
	return settable && !(flags & TIMER_ABSTIME) ? CLOCK_MONOTONIC : clock;
}

/* poll may be late by a thousandth of its time (kernel, select_estimate_accuracy), a sleep not: so all but that, and the rest. */
static int again_sleep(void *p, const sigset_t *own)
{
	const struct sleep *s = p;
	struct timespec left;
	while (eintr_left(s->deadline, eintr_clock(s->measure), &left)) {
		uint64_t ns = s->deadline - eintr_clock(s->measure);
		if (s->deadline != EINTR_NEVER && (int64_t)ns > 1000000)
			eintr_left(ns - ns / 512, 0, &left);
		if (real()->ppoll(NULL, 0, &left, own) != 0)
			return -1;
	}
	return 0;
}

/* 0 or an error number; errno may change. */
static int sleep_whole(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest)
{
	const bool relative = !(flags & TIMER_ABSTIME);
	struct eintr_scope scope = EINTR_SCOPE;
	struct sleep s = { measured_on(clock, flags), 0 };
	struct timespec left = { 0, 0 }, next;
	const uint64_t start = relative ? eintr_clock(s.measure) : 0;
	eintr_arm(&scope);
	int r = real()->clock_nanosleep(clock, flags, request, &left);
	while (UNLIKELY(r == EINTR) && eintr_ours(&scope)) {
		s.deadline = eintr_deadline(start, request->tv_sec, request->tv_nsec); /* the kernel took the request, so it can be read */
		if (scope.masked && s.measure == CLOCK_MONOTONIC)
			r = eintr_masked(&scope, errno, again_sleep, &s) ? errno : 0;
		else if (!eintr_resume(&scope))
			r = EINTR;
		else if (relative && !eintr_left(s.deadline, eintr_clock(s.measure), &next))
			r = 0;
		else {
			eintr_arm(&scope);
			r = real()->clock_nanosleep(clock, flags, relative ? &next : request, &left);
			continue;
		}
		if (relative)
			eintr_left(s.deadline, eintr_clock(s.measure), &left);
		break;
	}
	eintr_leave(&scope);
	if (r == EINTR && relative && rest && !eintr_tell(rest, &left, sizeof left))
		return EFAULT;
	return r;
}

int nanosleep(const struct timespec *request, struct timespec *rest)
{
	int saved = errno, r = sleep_whole(CLOCK_REALTIME, 0, request, rest);
	errno = r ? r : saved;
	return r ? -1 : 0;
}
int __nanosleep(const struct timespec *request, struct timespec *rest) __attribute__((alias("nanosleep")));

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest)
{
	int saved = errno, r = sleep_whole(clock, flags, request, rest);
	errno = saved;
	return r;
}

int usleep(useconds_t us)
{
	struct timespec request = { us / 1000000, (long)(us % 1000000) * 1000 };
	return nanosleep(&request, NULL);
}

/* The seconds that were not slept, rounded down, as glibc does. */
unsigned sleep(unsigned seconds)
{
	struct timespec request = { seconds, 0 }, rest = { 0, 0 };
	return nanosleep(&request, &rest) == 0 ? 0 : (unsigned)rest.tv_sec;
}

int thrd_sleep(const struct timespec *request, struct timespec *rest)
{
	int saved = errno, r = sleep_whole(CLOCK_REALTIME, 0, request, rest);
	errno = saved;
	return r == 0 ? 0 : r == EINTR ? -1 : -2;
}
