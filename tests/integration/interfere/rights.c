/*
 * What a process does to its rights, its view and its descriptors, with threads that allocate (unshare: without). After each of three
 * steps it tells the results and how many descriptors are open, and works on.
 *   rights WHAT
 */
#include "kit.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const struct { const char *name; int flag; } spaces[] = { { "unshare-mnt", CLONE_NEWNS }, { "unshare-pid", CLONE_NEWPID },
	{ "unshare-user", CLONE_NEWUSER }, { "unshare-net", CLONE_NEWNET }, { "unshare-ipc", CLONE_NEWIPC }, { "unshare-uts", CLONE_NEWUTS },
	{ "unshare-cgroup", CLONE_NEWCGROUP }, { "unshare-files", CLONE_FILES }, { "unshare-fs", CLONE_FS }, { "unshare-sem", CLONE_SYSVSEM } };

static int open_files(void)
{
	int n = 0;
	for (int i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static int step(const char *what, int round)
{
	int r = 0;
	if (!strcmp(what, "setuid"))
		return round ? setuid(65534) : setgroups(0, NULL) | setresgid(65534, 65534, 65534) | setresuid(65534, 65534, 65534);
	if (!strcmp(what, "seteuid")) {
		for (int i = 0; i < 20; i++) /* glibc tells each thread by signal 33 */
			r |= seteuid(65534) | work(100) | seteuid(0);
		return r;
	}
	if (!strcmp(what, "chroot"))
		return mkdir("jail", 0755) & chroot(round ? "/" : "jail") & chdir("/");
	if (!strcmp(what, "dumpable"))
		return prctl(PR_SET_DUMPABLE, round & 1, 0, 0, 0);
	if (!strcmp(what, "closefrom")) {
		closefrom(3);
		return (int)syscall(SYS_close_range, 3, ~0u, round == 1 ? 2 /* UNSHARE */ : 0);
	}
	if (!strcmp(what, "nofile")) {
		struct rlimit limit = { round == 2 ? 20 : 3, 1024 };
		return setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
		if (!strcmp(what, spaces[i].name))
			return round ? 0 : unshare(spaces[i].flag);
	return 90;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int wrong = work(3000), threads = strncmp(what, "unshare", 7) != 0;
	if (threads)
		churn_start();
	for (int round = 0; round < 3; round++) {
		errno = 0;
		int r = step(what, round);
		printf("%s: %d, errno %d, %d descriptors\n", what, r, errno, open_files());
		fflush(stdout);
		wrong += work(3000);
		pid_t p = fork(); /* unshare-pid: another process list than /proc shows */
		if (p == 0)
			_exit(work(500) != 0);
		wrong += p < 0 && strcmp(what, "unshare-pid");
	}
	if (threads)
		churn_stop();
	printf("%d wrong\n", wrong);
	return wrong != 0;
}
