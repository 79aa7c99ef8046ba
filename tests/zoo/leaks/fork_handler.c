/*
 * A handler that forks, on top of whatever malloc or its record of stacks was doing: the child goes on there, from several depths, and what it loses has
 * its own stack. Half of the handlers use a call that runs no handlers of fork.
 */
// expect: definite 1 blocks 40 bytes decoy
// expect child: definite ? blocks ? bytes lost_in_child
#include "leak.h"
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { CHILDREN = 60 };

static volatile sig_atomic_t forked, in_child;
static volatile int failed;

static SITE void lost_in_child(void) { made(malloc(56)); }

static SITE int deep(int n)
{
	char *volatile p = made(malloc(16 + (size_t)n * 8));
	int sum = n ? deep(n - 1) + 1 : 0;
	free(p);
	return sum;
}

static void on_timer(int number)
{
	if (in_child || forked >= CHILDREN)
		return;
	forked++;
	pid_t pid = forked % 2 ? fork() : (pid_t)syscall(SYS_fork);
	if (!pid)
		in_child = 1;
	int status = 0;
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		failed = 1;
	(void)number;
}

int main(void)
{
	struct sigaction act = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 700 }, { 0, 700 } };
	if (sigaction(SIGPROF, &act, NULL) || setitimer(ITIMER_PROF, &often, NULL))
		return 2;
	for (int n = 0; forked < CHILDREN && !in_child; n = (n + 1) % 40)
		deep(n);
	if (in_child) {
		for (int n = 0; n < 200; n++)
			deep(n % 40);
		lost_in_child();
		kit_scrub();
		exit(0);
	}
	decoy();
	kit_scrub();
	return failed ? 1 : 0;
}
