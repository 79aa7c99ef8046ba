/*
 * Where the sockets are, and whose they are: steps 1 and 2 of client.c.
 *
 * Names go through /proc/self/fd/N/NAME: the path of a socket has room for 107 bytes, and a folder that was opened and checked can't be
 * exchanged for another.
 */
#include "client_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATH_MOST = 4096 };

/* ---- what /proc says ---- */

/* A small file of /proc as text; bytes, or -1. */
static ssize_t slurp(int pid, const char *name, char *text, size_t room)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	for (ssize_t r; fd >= 0 && n < room - 1 && (r = read(fd, text + n, room - 1 - n)) > 0;)
		n += (size_t)r;
	text[n] = 0;
	if (fd < 0)
		return -1;
	close(fd);
	return (ssize_t)n;
}

bool subject_read(int pid, struct subject *s)
{
	char text[8192];
	unsigned uid = 0, real = 0;
	*s = (struct subject){ .pid = pid, .inner = pid };
	if (slurp(pid, "status", text, sizeof text) <= 0)
		return false;
	for (char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
		sscanf(line, "Uid: %u %u", &real, &uid);
		sscanf(line, "SigQ: %ld/%ld", &s->queued, &s->queue_limit);
		if (strncmp(line, "NSpid:", 6) == 0)
			for (char *c = line + 6, *end; *c == '\t'; c = end)
				s->inner = (int)strtol(c, &end, 10);
		if (strncmp(line, "State:\tZ", 8) == 0)
			return false;
	}
	s->uid = (uid_t)uid;
	s->real_uid = (uid_t)real;
	return true;
}

uint64_t subject_age(int pid)
{
	char text[2048];
	unsigned long long ticks = 0;
	struct timespec now;
	if (slurp(pid, "stat", text, sizeof text) <= 0)
		return 0;
	const char *c = strrchr(text, ')'); /* the name may hold blanks and more */
	for (int field = 2; c && field < 22; field++)
		c = strchr(c + 1, ' ');
	if (!c || sscanf(c, " %llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &now);
	unsigned long long started = ticks / (unsigned long long)sysconf(_SC_CLK_TCK), seconds = (unsigned long long)now.tv_sec;
	return seconds > started ? seconds - started : 0;
}

/* ---- folders ---- */

void folder_add(struct folders *f, const char *fmt, ...)
{
	char path[PATH_MOST];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	if (n >= PATH_MOST || f->count == FOLDERS)
		return;
	for (int i = 0; i < f->count; i++)
		if (!strcmp(f->path[i], path))
			return;
	if ((f->path[f->count] = strdup(path)))
		f->count++;
}

void folders_drop(struct folders *f)
{
	while (f->count)
		free(f->path[--f->count]);
}

void folders_of(struct folders *f, const char *root, const char *runtime, const char *tmp, uid_t uid)
{
	if (runtime && runtime[0] == '/')
		folder_add(f, "%s%s/cgc", root, runtime);
	if (tmp && tmp[0] == '/')
		folder_add(f, "%s%s/cgc-%u", root, tmp, (unsigned)uid);
	folder_add(f, "%s/tmp/cgc-%u", root, (unsigned)uid);
	folder_add(f, "%s/run/user/%u/cgc", root, (unsigned)uid);
}

static const char *variable(const char *environment, size_t size, const char *name)
{
	size_t n = strlen(name);
	for (const char *c = environment; c < environment + size; c += strlen(c) + 1)
		if (!strncmp(c, name, n) && c[n] == '=')
			return c + n + 1;
	return NULL;
}

static void folders_find(struct folders *f, const struct subject *s)
{
	static char environment[128 << 10];
	char root[32] = "", link[PATH_MOST], at[32];
	ssize_t size = slurp(s->pid, "environ", environment, sizeof environment);
	const char *runtime = size > 0 ? variable(environment, (size_t)size, "XDG_RUNTIME_DIR") : NULL;
	const char *tmp = size > 0 ? variable(environment, (size_t)size, "TMPDIR") : NULL;
	snprintf(at, sizeof at, "/proc/%d/root", s->pid);
	ssize_t n = readlink(at, link, sizeof link);
	for (int below = 0; below < 2; below++) {
		folders_of(f, root, runtime, tmp, s->uid);
		folders_of(f, root, getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), s->uid);
		if (s->real_uid != s->uid || s->uid != 0)
			folders_of(f, root, runtime, tmp, s->real_uid != s->uid ? s->real_uid : 0);
		/* A root of "/" is ours, or that of another mount namespace: there a name may mean something else. */
		if (n <= 0)
			return;
		snprintf(root, sizeof root, "%s", at);
	}
}

int folder_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) || (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0))) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* ---- connecting ---- */

int connect_at(int folder, const char *name, int *pid)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;
	struct timeval limit = { 5, 0 };
	if (snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* the listener's queue may be full */
	if (connect(fd, (struct sockaddr *)&to, sizeof to) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	*pid = peer.pid;
	return fd;
}

int name_number(const char *name)
{
	char *end;
	if (name[0] < '1' || name[0] > '9')
		return 0;
	long n = strtol(name, &end, 10);
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	return *end || n > INT32_MAX ? 0 : (int)n;
}

/* The socket of the process in this folder, connected; -1: none there. */
static int connect_in(int folder, const struct subject *s)
{
	DIR *list = fdopendir(dup(folder));
	int fd = -1, pid = 0;
	if (!list)
		return -1;
	rewinddir(list);
	for (struct dirent *e; fd < 0 && (e = readdir(list));) {
		if (name_number(e->d_name) != s->inner)
			continue;
		fd = connect_at(folder, e->d_name, &pid);
		if (fd >= 0 && pid != s->pid) {
			close(fd);
			fd = -1;
		}
	}
	closedir(list);
	return fd;
}

int connect_to(const struct subject *s, bool *other)
{
	struct folders f = { .count = 0 };
	int fd = -1;
	*other = false;
	folders_find(&f, s);
	for (int i = 0; i < f.count && fd < 0; i++) {
		int folder = folder_open(f.path[i]);
		*other |= folder < 0 && (errno == EPERM || errno == EACCES);
		if (folder < 0)
			continue;
		fd = connect_in(folder, s);
		close(folder);
	}
	folders_drop(&f);
	return fd;
}
