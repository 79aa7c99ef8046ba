/*
 * Children of every kind, while two threads allocate: each child builds and checks a list, or runs this program anew, and ends with 7.
 *   processes [rounds]
 */
#include "kit.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
enum { FORK, RAW_FORK, RAW_CLONE, VFORK, SPAWN, SHARED_VFORK, SHARED, COPY, SYSTEM, DAEMON, KINDS };
static const char *const names[KINDS] = { "fork", "raw fork", "raw clone", "vfork and exec", "posix_spawn", "clone(CLONE_VM | CLONE_VFORK)",
	"clone(CLONE_VM)", "clone", "system", "daemon" };
static char *again[] = { NULL, "a", "b", NULL };
static char *stack;
enum { STACK = 64 * 1024, GOOD = 7 };

static int in_child(void *n) { return work((long)n) ? 9 : GOOD; }

static int ended(pid_t p)
{
	int status = -1;
	while (p > 0 && waitpid(p, &status, __WALL) < 0)
		;
	return status;
}

/* The daemon's second process is no child of ours: it tells by a pipe. */
static int daemon_works(void)
{
	int fds[2];
	char c = 0;
	if (pipe(fds))
		return -1;
	pid_t p = fork();
	if (p == 0) {
		if (daemon(0, 0) == 0) {
			c = (char)in_child((void *)2000);
			if (write(fds[1], &c, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	int status = ended(p);
	ssize_t n = read(fds[0], &c, 1);
	close(fds[0]);
	return status == 0 && n == 1 ? c << 8 : -1;
}

static int run(int kind)
{
	pid_t p = -1;
	switch (kind) {
	case FORK:
		if ((p = fork()) == 0)
			_exit(in_child((void *)2000));
		break;
	case RAW_FORK:
		if ((p = (pid_t)syscall(SYS_fork)) == 0)
			syscall(SYS_exit_group, in_child((void *)2000));
		break;
	case RAW_CLONE:
		if ((p = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0)
			syscall(SYS_exit_group, in_child((void *)2000));
		break;
	case VFORK:
		if ((p = vfork()) == 0) {
			execve(again[0], again, environ);
			_exit(99);
		}
		break;
	case SPAWN:
		if (posix_spawn(&p, again[0], NULL, NULL, again, environ))
			p = -1;
		break;
	case SHARED_VFORK:
		p = clone(in_child, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)300);
		break;
	case SHARED:
		p = clone(in_child, stack + STACK, CLONE_VM | SIGCHLD, (void *)300);
		break;
	case COPY:
		p = clone(in_child, stack + STACK, SIGCHLD, (void *)300);
		break;
	case SYSTEM:
		return system("exit 7");
	default:
		return daemon_works();
	}
	return ended(p);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20, good[KINDS] = { 0 }, failed = 0;
	if (argc == 3)
		return GOOD;
	again[0] = argv[0];
	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	churn_start();
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			good[k] += run(k) == GOOD << 8;
	churn_stop();
	for (int k = 0; k < KINDS; k++) {
		printf("%s: %d of %d\n", names[k], good[k], rounds);
		failed += good[k] != rounds;
	}
	return failed;
}
