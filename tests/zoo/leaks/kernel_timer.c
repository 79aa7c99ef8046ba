/* The only pointer is the value of a timer, or of a signal that is queued; that of a deleted timer is lost. */
// expect: definite 1 blocks 96 bytes deleted
#include "leak.h"
#include <signal.h>
#include <time.h>

static SITE void *armed(void) { return made(malloc(96)); }
static SITE void *deleted(void) { return made(malloc(96)); }
static SITE void *queued(void) { return made(malloc(96)); }

static SITE void arm(bool keep)
{
	timer_t t;
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = keep ? armed() : deleted() };
	if (timer_create(CLOCK_MONOTONIC, &e, &t) || (!keep && timer_delete(t)))
		_exit(2);
	e.sigev_value.sival_ptr = NULL;
	use(&e);
}

static SITE void queue(void)
{
	sigset_t set;
	union sigval value = { .sival_ptr = queued() };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL) || sigqueue(getpid(), SIGUSR2, value))
		_exit(2);
	value.sival_ptr = NULL;
	use(&value);
}

int main(void)
{
	arm(true);
	arm(false);
	queue();
	kit_scrub();
	return 0;
}
