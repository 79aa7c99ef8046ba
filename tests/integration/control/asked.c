/*
 * A program that is asked while it does something: `asked WHAT [FILE]`. It ends when FILE is there (or its standard input ends), prints what
 * it noticed, and "unharmed" as last line.
 *
 * Everything that a program could notice of being asked is looked at: errors of calls that nothing should interrupt, descriptors in the
 * way, signals, threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *file;
static char ready[300];

static void tell_ready(void)
{
	snprintf(ready, sizeof ready, "%s.ready", file);
	int fd = open(ready, O_CREAT | O_WRONLY, 0666);
	dprintf(fd, "%d\n", getpid());
	close(fd);
	snprintf(ready, sizeof ready, "%s.is", file);
	char from[320];
	snprintf(from, sizeof from, "%s.ready", file);
	rename(from, ready);
}
static int over(void) { return access(file, F_OK) == 0; }
static void wait_for_end(void)
{
	while (!over())
		if (usleep(20000))
			printf("usleep: %s\n", strerror(errno));
}

static int count(const char *folder)
{
	DIR *d = opendir(folder);
	int n = -3;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Nobody comes until the end is there: then a connection of our own ends it. */
static void *open_door(void *address)
{
	wait_for_end();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd, address, sizeof(struct sockaddr_un));
	return NULL;
}

static void blocked(int with_thread)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pthread_t t;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s.door", file);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1))
		printf("listen: %s\n", strerror(errno));
	if (with_thread)
		pthread_create(&t, NULL, open_door, &a);
	else if (fork() == 0) { /* a helper outside, so that the one thread is in accept */
		open_door(&a);
		_exit(0);
	}
	tell_ready();
	if (accept(fd, NULL, NULL) < 0)
		printf("accept: %s\n", strerror(errno));
	unlink(a.sun_path);
}

static void *churn(void *unused)
{
	void *p[256] = { 0 };
	for (unsigned i = 0; !over(); i++)
		for (unsigned j = 0; j < 256; j++) {
			free(p[j]);
			p[j] = malloc(16 + (i * 37 + j * 101) % 3000);
			memset(p[j], (int)j, 16);
		}
	for (unsigned j = 0; j < 256; j++)
		free(p[j]);
	return NULL;
}

static void many_threads(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, churn, NULL);
	tell_ready();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* As daemons do: every descriptor from 3 on. Nothing that is not ours may be closed twice, nothing may be left but what cgc hides. */
static void close_all(const char *how)
{
	if (!strcmp(how, "closefrom"))
		closefrom(3);
	else if (!strcmp(how, "close_range"))
		close_range(3, ~0u, 0);
	else if (!strcmp(how, "loop"))
		for (int i = 3; i < 5000; i++)
			close(i);
	else if (!strcmp(how, "syscall"))
		for (int i = 3; i < 5000; i++)
			syscall(SYS_close, i);
	else if (!strcmp(how, "dup2"))
		for (int i = 990; i < 1020; i++) {
			if (dup2(1, i) != i)
				printf("dup2 to %d: %s\n", i, strerror(errno));
			if (close(i))
				printf("close %d: %s\n", i, strerror(errno));
		}
	int fd = open("/dev/null", O_RDONLY);
	if (fd != 3)
		printf("the next descriptor is %d\n", fd);
	close(fd);
	tell_ready();
	wait_for_end();
}

static void *nothing(void *unused) { return malloc(10); }

static void filtered(void)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	/* sigreturn too: whoever is signalled dies of it */
#define KILL(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
	struct sock_filter none[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		KILL(rt_sigreturn), KILL(accept4), KILL(timer_create), KILL(timer_settime), KILL(socket), all[0] };
	struct sock_fprog program = { sizeof none / sizeof *none, none };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		printf("prctl: %s\n", strerror(errno));
	int status;
	pthread_t t;
	pid_t child = fork();
	if (child == 0)
		_exit(7);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		printf("the child behind the filter: %x\n", status);
	pthread_create(&t, NULL, nothing, NULL);
	pthread_join(t, NULL);
	tell_ready();
	wait_for_end();
}

static void forked(void)
{
	pid_t child = fork();
	if (child == 0) {
		tell_ready();
		wait_for_end();
		_exit(0);
	}
	int status;
	if (waitpid(child, &status, 0) != child || status)
		printf("the child: %x, %s\n", status, strerror(errno));
}

static char *self_path;
int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	self_path = argv[0];
	setvbuf(stdout, NULL, _IONBF, 0);
	const char *what = argv[1];
	file = argv[2];
	if (!strcmp(what, "accept"))
		blocked(0);
	else if (!strcmp(what, "accept-thread"))
		blocked(1);
	else if (!strcmp(what, "threads"))
		many_threads();
	else if (!strcmp(what, "spin"))
		tell_ready(), churn(NULL);
	else if (!strncmp(what, "close=", 6))
		close_all(what + 6);
	else if (!strcmp(what, "filter"))
		filtered();
	else if (!strcmp(what, "fork"))
		forked();
	else if (!strcmp(what, "daemon")) {
		if (daemon(1, 1))
			printf("daemon: %s\n", strerror(errno));
		tell_ready();
		wait_for_end();
	} else if (!strcmp(what, "exec")) {
		execl("/proc/self/exe", "asked", "sleep", file, (char *)NULL);
	} else if (!strcmp(what, "execs")) { /* becomes another image over and over while it is asked */
		usleep(2000); /* long enough to be asked */
		if (!over())
			execl("/proc/self/exe", "asked", "execs", file, (char *)NULL);
	} else if (!strcmp(what, "chroot")) {
		if (chdir("/var/empty") && chdir("/usr/share"))
			return 3;
		int folder = open(argv[3], O_RDONLY | O_DIRECTORY);
		if (chroot("."))
			printf("chroot: %s\n", strerror(errno));
		fchdir(folder); /* only to see the end */
		tell_ready();
		wait_for_end();
	} else if (!strcmp(what, "setuid")) {
		if (setgid(65534) || setuid(65534))
			printf("setuid: %s\n", strerror(errno));
		tell_ready();
		wait_for_end();
	} else if (!strcmp(what, "raised")) { /* with the queue of signals as small as can be */
		tell_ready();
		wait_for_end();
	} else if (!strcmp(what, "sleep")) {
		tell_ready();
		wait_for_end();
	} else if (!strcmp(what, "count")) {
		printf("%d threads, %d descriptors\n", count("/proc/self/task"), count("/proc/self/fd"));
	}
	puts("unharmed");
	return 0;
}
