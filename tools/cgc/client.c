/*
 * The command's side of the socket.
 *
 *   1. Where is it? The library took its folder from the environment that the process started with, so that is read first
 *      (/proc/PID/environ), then ours; under the root folder of the process (/proc/PID/root), if it has another. The name begins with
 *      its PID in its own namespace (NSpid).
 *   2. Is it the right one? The kernel tells whose socket was connected (SO_PEERCRED), so a number that was used again, or a folder that
 *      two containers share, misleads nobody.
 *   3. One line is sent. The answer is a line and, when that says ok, a descriptor of a file with the rest: the
 *      process is never held up by who reads slowly.
 *
 * The kernel signals the process when we connect. A full queue of signals would turn that into a SIGIO, which may kill: so the queue is
 * looked at first (SigQ), and such a process is left alone.
 *
 * (client_find.c does 1 and 2.)
 */
#include "client.h"
#include "client_find.h"
#include "base/printable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MOST = 64 << 20 };
enum { LINE_MOST = 300, ANSWER_MS = 60000, HELLO_MS = 5000, POKE_MS = 2000, NOTE_MS = 1000 };
enum { LOOKS_ITSELF = 64 }; /* with so low a limit the process asks for no signal (SIGNALS_ROOM in src/control/control.c) */

static void fail(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct answer *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(a->error, sizeof a->error, fmt, ap);
	va_end(ap);
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* ---- asking ---- */

static int reach(const struct subject *s, struct answer *a)
{
	bool other;
	int fd = connect_to(s, &other);
	if (fd < 0 && other && geteuid() != 0)
		fail(a, "the socket of %d belongs to another user: ask as that user or as root", s->pid);
	else if (fd < 0)
		fail(a, "%d does not listen: only programs under libcgc.so with listen=1 do: start it by `cgc run --mode=report` or `cgc run --listen=1`",
		     s->pid);
	return fd;
}

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes a line and perhaps a descriptor. 1: whole, 0: not yet, -1: the end, errno or 0. */
static int receive(int fd, char *line, size_t *n, int *passed)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { line + *n, LINE_MOST - 1 - *n };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
		if (*passed >= 0)
			close(*passed);
		memcpy(passed, CMSG_DATA(c), sizeof(int));
	}
	*n += (size_t)r;
	line[*n] = 0;
	if (strchr(line, '\n'))
		return 1;
	errno = 0;
	return r == 0 || *n == LINE_MOST - 1 ? -1 : 0;
}

/* The process may have been at a place where it could not serve, and may be short of a timer to try again: a new connection is a new
 * signal. It sends nothing, which is dropped at once. */
static void poke(const struct subject *s)
{
	bool other;
	int fd = connect_to(s, &other);
	if (fd >= 0)
		close(fd);
}

static bool wait_for_line(int fd, const struct subject *s, int limit_ms, char *line, struct answer *a)
{
	size_t n = 0;
	long start = now_ms(), poked = start;
	bool noted = false, note = isatty(2);
	int r = 0;
	for (long now = start; r == 0 && now - start < limit_ms; now = now_ms()) {
		struct pollfd p = { fd, POLLIN, 0 };
		if (poll(&p, 1, 200) > 0)
			r = receive(fd, line, &n, &a->fd);
		if (r == 0 && note && !noted && now - start >= NOTE_MS)
			noted = fprintf(stderr, "cgc: waiting for %d ...", s->pid) > 0;
		if (r == 0 && now - poked >= POKE_MS) {
			poke(s);
			poked = now;
		}
	}
	if (noted)
		fprintf(stderr, "\r\033[K");
	if (r == 0)
		fail(a, "%d does not answer: it may be stopped, or hold a filter of system calls since: try again, or see /proc/%d/status", s->pid, s->pid);
	else if (r < 0)
		fail(a, "%d hung up%s%s: it may have ended or become another program: try again", s->pid, errno ? ": " : "", errno ? strerror(errno) : "");
	return r > 0;
}

/* What came as "ok SIZE" with a descriptor: it must be a file of that size. */
static bool take_answer(char *line, const struct subject *s, struct answer *a)
{
	struct stat st;
	unsigned long long size = 0;
	line[strcspn(line, "\n")] = 0;
	make_printable(line);
	if (!strncmp(line, "error ", 6)) {
		a->refused = true;
		fail(a, "%d: %s", s->pid, line + 6);
		return false;
	}
	if (sscanf(line, "ok %llu", &size) != 1 || a->fd < 0 || fstat(a->fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size
	    || lseek(a->fd, 0, SEEK_SET) != 0) {
		fail(a, "%d answers in a way that this version does not know: cgc and its libcgc.so should be of one version", s->pid);
		return false;
	}
	a->size = size;
	return true;
}

static bool ask(int fd, const struct subject *s, const char *request, int limit_ms, struct answer *a)
{
	char line[LINE_MOST];
	int n = snprintf(line, sizeof line, "%s\n", request);
	if (n > 256 || strchr(request, '\n')) {
		fail(a, "a request of %d bytes is too long", n);
		return false;
	}
	send(fd, line, (size_t)n, MSG_NOSIGNAL); /* who refuses us by our user may have hung up; what it said is there to read */
	line[0] = 0;
	return wait_for_line(fd, s, limit_ms, line, a) && take_answer(line, s, a);
}

/* May the kernel still queue a signal for it? */
static bool queue_has_room(const struct subject *s, struct answer *a)
{
	if (s->queued + 8 < s->queue_limit || s->queue_limit <= LOOKS_ITSELF)
		return true;
	fail(a, "%d can't be asked: %ld of %ld signals of its user are queued (RLIMIT_SIGPENDING): try again later", s->pid, s->queued, s->queue_limit);
	return false;
}

bool client_ask(int pid, const char *request, struct answer *a)
{
	struct subject s;
	*a = (struct answer){ .fd = -1 };
	if (!subject_read(pid, &s)) {
		fail(a, "there is no process %d: `cgc list` shows those that can be asked", pid);
		return false;
	}
	if (geteuid() != 0 && s.uid != geteuid()) {
		fail(a, "%d belongs to another user: ask as that user or as root", pid);
		return false;
	}
	if (!queue_has_room(&s, a))
		return false;
	int fd = reach(&s, a);
	if (fd < 0)
		return false;
	bool ok = ask(fd, &s, request, ANSWER_MS, a);
	close(fd);
	return ok;
}

char *client_text(struct answer *a)
{
	size_t n = 0;
	char *text = a->size < TEXT_MOST ? malloc((size_t)a->size + 1) : NULL;
	for (ssize_t r; text && n < a->size && (r = read(a->fd, text + n, (size_t)a->size - n)) > 0;)
		n += (size_t)r;
	if (!text || n < a->size) {
		fail(a, "the answer of %llu bytes can't be read: %s", (unsigned long long)a->size, text ? "it is shorter" : "it is too long, or there is no memory");
		free(text);
		return NULL;
	}
	text[n] = 0;
	close(a->fd);
	a->fd = -1;
	return text;
}

/* ---- all that listen ---- */

struct found {
	struct client_process *list;
	size_t count, room;
};

static bool found_add(struct found *f, const struct client_process *p)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->list[i].pid == p->pid)
			return true;
	if (f->count == f->room) {
		size_t room = f->room ? f->room * 2 : 64;
		struct client_process *bigger = realloc(f->list, room * sizeof *bigger);
		if (!bigger)
			return false;
		f->list = bigger;
		f->room = room;
	}
	f->list[f->count++] = *p;
	return true;
}

/* "cgc VERSION mode PID program", then "live BYTES". */
static void hello(int fd, const struct subject *s, struct client_process *p)
{
	struct answer a = { .fd = -1 };
	unsigned long long live = 0;
	int at = 0;
	p->silent = true;
	if (!queue_has_room(s, &a) || !ask(fd, s, "hello", HELLO_MS, &a))
		return;
	char *text = client_text(&a);
	if (text && sscanf(text, "cgc %31s %15s %*d %n", p->version, p->mode, &at) >= 2 && at) {
		char *end = text + at + strcspn(text + at, "\n");
		snprintf(p->program, sizeof p->program, "%.*s", (int)(end - text - at), text + at);
		make_printable(p->version);
		make_printable(p->mode);
		make_printable(p->program);
		if (*end && sscanf(end + 1, "live %llu", &live) == 1)
			p->live_bytes = live;
		p->silent = false;
	}
	free(text);
}

static bool folder_list(const char *path, struct found *f, struct answer *a)
{
	int folder = folder_open(path), pid = 0;
	if (folder < 0) {
		if (errno == EPERM) /* somebody stands in our place */
			fail(a, "%s belongs to another user: nobody who listens can be there: remove it, or set TMPDIR", path);
		return errno != EPERM;
	}
	DIR *list = fdopendir(dup(folder));
	bool room = list != NULL;
	for (struct dirent *e; room && (e = readdir(list));) {
		if (!name_number(e->d_name))
			continue;
		struct client_process p = { 0 };
		struct subject s;
		int fd = connect_at(folder, e->d_name, &pid);
		if (fd < 0 && errno == ECONNREFUSED)
			unlinkat(folder, e->d_name, 0);
		if (fd >= 0 && pid > 0 && subject_read(pid, &s)) {
			p.pid = pid;
			hello(fd, &s, &p);
			p.age_seconds = subject_age(pid);
			room = found_add(f, &p);
		}
		if (fd >= 0)
			close(fd);
	}
	if (list)
		closedir(list);
	close(folder);
	if (!room)
		fail(a, "no memory for the list");
	return room;
}

/* root looks at everybody's. */
static void folders_of_all(struct folders *f, const char *parent, const char *prefix, const char *suffix)
{
	DIR *list = opendir(parent);
	for (struct dirent *e; list && (e = readdir(list));)
		if (!strncmp(e->d_name, prefix, strlen(prefix)) && strspn(e->d_name + strlen(prefix), "0123456789") == strlen(e->d_name + strlen(prefix)))
			folder_add(f, "%s/%s%s", parent, e->d_name, suffix);
	if (list)
		closedir(list);
}

static int by_pid(const void *a, const void *b)
{
	const struct client_process *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

int client_each(void (*fn)(const struct client_process *p, void *arg), void *arg, char error[400])
{
	struct folders f = { .count = 0 };
	struct found found = { 0 };
	struct answer a = { .fd = -1 };
	bool ok = true;
	const char *tmp = getenv("TMPDIR");
	folders_of(&f, "", getenv("XDG_RUNTIME_DIR"), tmp, geteuid());
	if (geteuid() == 0) {
		if (tmp && tmp[0] == '/')
			folders_of_all(&f, tmp, "cgc-", "");
		folders_of_all(&f, "/tmp", "cgc-", "");
		folders_of_all(&f, "/run/user", "", "/cgc");
	}
	for (int i = 0; i < f.count && ok; i++)
		ok = folder_list(f.path[i], &found, &a);
	folders_drop(&f);
	if (found.count)
		qsort(found.list, found.count, sizeof *found.list, by_pid);
	for (size_t i = 0; i < found.count && ok; i++)
		fn(&found.list[i], arg);
	free(found.list);
	if (!ok)
		memcpy(error, a.error, sizeof a.error);
	return ok ? (int)found.count : -1;
}
