/*
 * Children that no handler of fork sees: by _Fork, by the system calls fork, clone and clone3. Each tells what it lost itself and nothing of
 * its parent's, as a child of fork does; one that ends at once says nothing. Ends: _exit before and after an allocation, exit, quick_exit.
 */
// expect: definite 1 blocks 1337 bytes before_fork
// expect child: definite 1 blocks 104 bytes in_child
#include "leak.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

HELD void *held;

static SITE void before_fork(void) { made(malloc(1337)); }
static SITE void in_child(void) { made(malloc(104)); }
static SITE void *keep(void) { return made(malloc(72)); }

enum { BY_LIBC, BY_FORK, BY_CLONE, BY_CLONE3, WAYS };
enum { AT_ONCE, FREED, LOST, LOST_EXIT, LOST_QUICK, ENDS };

static pid_t copy(int way)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	switch (way) {
	case BY_LIBC: return _Fork();
	case BY_FORK: return (pid_t)syscall(SYS_fork);
	case BY_CLONE: return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	default: return (pid_t)syscall(SYS_clone3, &args, sizeof args);
	}
}

static SITE void child(int end)
{
	if (end == FREED)
		free(keep());
	if (end >= LOST)
		in_child();
	kit_scrub();
	if (end == LOST_EXIT)
		exit(0);
	if (end == LOST_QUICK)
		quick_exit(0);
	_exit(0);
}

int main(void)
{
	held = keep();
	before_fork();
	kit_scrub();
	for (int way = 0; way < WAYS; way++)
		for (int end = 0; end < ENDS; end++) {
			int status;
			pid_t pid = copy(way);
			if (pid == 0)
				child(end);
			if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
				return 2;
		}
	return 0;
}
