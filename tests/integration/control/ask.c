/*
 * A client of the socket that does what it is told, wrong things too; written from control.h alone.
 *
 *   ask SOCKET REQUEST            sends the line, prints the answer's first line (size left out) and what the descriptor holds
 *   ask SOCKET REQUEST N          N connections at once, and prints how many were answered with ok
 *   ask -raw SOCKET BYTES         sends just these bytes (no newline)
 *   ask -silent SOCKET SECONDS    connects and says nothing
 *   ask -stale FOLDER N           leaves N sockets that nobody listens on, named by PIDs that are free
 *   ask -hammer FOLDER FILE       asks everybody in the folder again and again until FILE is there; with a fourth argument some come
 *                                 and go without a word or in the middle of one. Prints how often somebody answered
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) {
		printf("connect: %s\n", strerror(errno));
		exit(1);
	}
	return fd;
}

/* The first line, and the descriptor that came with it. false: none, with what happened in `line`. */
static int hear(int fd, char line[300], int *passed)
{
	char control[CMSG_SPACE(sizeof(int))];
	size_t n = 0;
	*passed = -1;
	while (n < 299) {
		struct pollfd p = { fd, POLLIN, 0 };
		struct iovec part = { line + n, 299 - n };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return sprintf(line, "no answer"), 0;
		ssize_t r = recvmsg(fd, &m, 0);
		if (r <= 0)
			return sprintf(line, r ? "%s" : "closed", strerror(errno)), 0;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS)
			memcpy(passed, CMSG_DATA(c), sizeof *passed);
		n += (size_t)r;
		line[n] = 0;
		if (strchr(line, '\n'))
			return line[strcspn(line, "\n")] = 0, 1;
	}
	return 0;
}

static void print(const char *line, int passed)
{
	char buf[4096];
	unsigned long size, got = 0;
	if (sscanf(line, "ok %lu", &size) != 1) {
		puts(line);
		return;
	}
	puts("ok");
	fflush(stdout);
	lseek(passed, 0, SEEK_SET);
	for (ssize_t r; (r = read(passed, buf, sizeof buf)) > 0; got += (unsigned long)r)
		fwrite(buf, 1, (size_t)r, stdout);
	if (got != size)
		printf("%lu bytes, not %lu\n", got, size);
}

static int many(const char *path, const char *request, int n)
{
	int fds[64], ok = 0;
	for (int i = 0; i < n && i < 64; i++) {
		fds[i] = dial(path);
		dprintf(fds[i], "%s\n", request);
	}
	for (int i = 0; i < n && i < 64; i++) {
		char line[300];
		int passed;
		ok += hear(fds[i], line, &passed) && !strncmp(line, "ok ", 3) && passed >= 0;
	}
	printf("%d ok\n", ok);
	return 0;
}

static int stale(const char *folder, int n)
{
	for (int pid = 4000000; n; pid++, n--) { /* PIDs end at 4194304; none is so high on a machine that was just started */
		struct sockaddr_un a = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		snprintf(a.sun_path, sizeof a.sun_path, "%s/%d", folder, pid);
		if (bind(fd, (struct sockaddr *)&a, sizeof a))
			return printf("bind: %s\n", strerror(errno)), 1;
		close(fd);
	}
	return 0;
}

static int ask_once(const char *path, const char *request, int listen)
{
	char line[300];
	int passed = -1, heard = 0;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
		send(fd, request, strlen(request), MSG_NOSIGNAL);
		heard = listen && hear(fd, line, &passed);
		if (passed >= 0)
			close(passed);
	}
	close(fd);
	return heard;
}

static int hammer(const char *folder, const char *end, int rude)
{
	static const char *const requests[] = { "hello\n", "snapshot\n", "nonsense\n", "", "snapshot bl" };
	unsigned i = 0, answered = 0;
	while (access(end, F_OK)) {
		DIR *d = opendir(folder);
		for (struct dirent *e; d && (e = readdir(d));) {
			char path[400];
			unsigned which = i++ % (rude ? 5 : 3);
			snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
			if (e->d_name[0] != '.')
				answered += (unsigned)ask_once(path, requests[which], which < 3);
		}
		if (d)
			closedir(d);
		usleep(3000);
	}
	printf("%u answered\n", answered);
	return 0;
}

int main(int argc, char **argv)
{
	char line[300];
	int passed;
	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN); /* who is refused is told before it could say anything */
	if (!strcmp(argv[1], "-stale"))
		return stale(argv[2], atoi(argv[3]));
	if (!strcmp(argv[1], "-silent")) {
		dial(argv[2]);
		sleep((unsigned)atoi(argv[3]));
		return 0;
	}
	if (!strcmp(argv[1], "-hammer"))
		return hammer(argv[2], argv[3], argc > 4);
	int raw = !strcmp(argv[1], "-raw");
	const char *path = argv[raw ? 2 : 1], *request = argv[raw ? 3 : 2];
	if (!raw && argc > 3)
		return many(path, request, atoi(argv[3]));
	int fd = dial(path);
	dprintf(fd, raw ? "%s" : "%s\n", request);
	hear(fd, line, &passed);
	print(line, passed);
	return 0;
}
