/*
 * A program with functions of its own under libc's names, as the Erlang machine has its sigaction: each counts and goes on to
 * the name with two underscores. A library that reaches its own wrappers through the names that everybody sees would come
 * back to these, and round for ever. Prints how often each was called: by the program, and by nobody else.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

extern int __sigaction(int, const struct sigaction *, struct sigaction *);
extern ssize_t __read(int, void *, size_t);
extern ssize_t __read_chk(int, void *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern int __poll(struct pollfd *, nfds_t, int);
extern int __poll_chk(struct pollfd *, nfds_t, int, size_t);
extern int __nanosleep(const struct timespec *, struct timespec *);

static int actions, reads, polls, sleeps, receives, handled;

int sigaction(int n, const struct sigaction *action, struct sigaction *old) { actions++; return __sigaction(n, action, old); }
ssize_t read(int fd, void *buf, size_t n) { reads++; return __read(fd, buf, n); }
int poll(struct pollfd *p, nfds_t n, int timeout) { polls++; return __poll(p, n, timeout); }
int nanosleep(const struct timespec *t, struct timespec *rest) { sleeps++; return __nanosleep(t, rest); }
ssize_t recv(int fd, void *buf, size_t n, int flags) { receives++; return recvfrom(fd, buf, n, flags, NULL, NULL); }
/* No way on: whoever needs these inside must not come here. */
int execve(const char *path, char *const argv[], char *const envp[]) { (void)path, (void)argv, (void)envp; errno = EPERM; return -1; }
int sigsuspend(const sigset_t *set) { (void)set; errno = EPERM; return -1; }

static void handler(int n) { handled += n == SIGUSR1; }

int main(void)
{
	struct sigaction action = { .sa_handler = handler };
	int ends[2];
	char buf[8];
	struct pollfd p = { .events = POLLIN };
	if (sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return 1;
	p.fd = ends[0];
	for (int i = 0; i < 3000; i++) /* the library's cycles come here, if there are any */
		free(malloc((size_t)i));
	if (send(ends[1], "123456", 6, 0) != 6 || poll(&p, 1, 1000) != 1 || __poll_chk(&p, 1, 1000, sizeof p) != 1)
		return 2;
	if (read(ends[0], buf, 1) != 1 || __read_chk(ends[0], buf, 1, sizeof buf) != 1 || recv(ends[0], buf, 1, 0) != 1 || __recv_chk(ends[0], buf, 1, sizeof buf, 0) != 1)
		return 3;
	usleep(1000);
	sleep(0);
	nanosleep(&(struct timespec){ 0, 1000 }, NULL);
	printf("sigaction %d, read %d, poll %d, nanosleep %d, recv %d, handled %d\n", actions, reads, polls, sleeps, receives, handled);
	fflush(stdout);
	char *const args[] = { (char[]){ "echo" }, (char[]){ "exec" }, NULL };
	execv("/bin/echo", args);
	return 4;
}
