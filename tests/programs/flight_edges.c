/*
 * flight_edges: calls that carry pointers behave as they do without anybody who looks: results, errno, bad buffers, full and closed
 * channels, handlers, longjmp, cancellation. One line a check, the same plain and preloaded.
 *
 * flight_edges flood SECONDS: writes more pointers than any table has room for, then collects at once and again after SECONDS, and
 * prints how many blocks that were lost came back each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "kit.h"

static int wrong;
static void check(const char *what, bool good)
{
	printf("%s %s\n", good ? "ok   " : "FAILED", what);
	fflush(stdout);
	wrong += !good;
}
/* The call gives -1 and this errno. */
#define FAILS(what, error, call) (errno = 0, check(what, (call) == -1 && errno == (error)))
/* The call gives this, and errno stays as it was. */
#define GIVES(what, result, call) (errno = 77, check(what, (call) == (result) && errno == 77))

static void *block;
static int ends[2], queue_id, null;
static mqd_t queue;

static void bad_buffers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *bad = page + 4096;
	int s[2];
	memcpy(page + 4096 - 8, &block, 8);
	if (mprotect(bad, 4096, PROT_NONE) || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		exit(2);
	struct iovec none = { bad, 8 }, good = { page + 4096 - 8, 8 };
	struct msghdr m = { .msg_iov = (struct iovec *)bad, .msg_iovlen = 1 }, n = { .msg_iov = &none, .msg_iovlen = 1 };
	struct message { long type; void *p; } *message = (struct message *)(void *)(bad - 8);
	FAILS("write of what can't be read", EFAULT, write(ends[1], bad, 8));
	void *volatile null_pointer = NULL;
	FAILS("write of NULL", EFAULT, write(ends[1], null_pointer, 8));
	FAILS("write of what is no address", EFAULT, write(ends[1], (void *)((uintptr_t)page | 1ull << 60), 8));
	FAILS("write across the end of what can be read", EFAULT, send(s[0], bad - 4, 300, 0));
	FAILS("writev of vectors that can't be read", EFAULT, writev(ends[1], (struct iovec *)bad, 1));
	FAILS("writev of what can't be read", EFAULT, writev(ends[1], &none, 1));
	FAILS("send of what can't be read", EFAULT, send(s[0], bad, 8, 0));
	FAILS("sendmsg of vectors that can't be read", EFAULT, sendmsg(s[0], &m, 0));
	FAILS("sendmsg of what can't be read", EFAULT, sendmsg(s[0], &n, 0));
	FAILS("sendmsg of a message that can't be read", EFAULT, sendmsg(s[0], (struct msghdr *)bad, 0));
	FAILS("sendmmsg of messages that can't be read", EFAULT, sendmmsg(s[0], (struct mmsghdr *)bad, 1, 0));
	FAILS("mq_send of what can't be read", EFAULT, mq_send(queue, bad, 8, 0));
	FAILS("msgsnd of what can't be read", EFAULT, msgsnd(queue_id, message, 8, 0));
	FAILS("vmsplice of what can't be read", EFAULT, vmsplice(ends[1], &none, 1, 0));
	GIVES("/dev/null takes what can't be read", 100, write(null, bad, 100));
	GIVES("and vectors of it", 8, writev(null, &none, 1));
	GIVES("write up to the end of a page", 8, write(ends[1], page + 4096 - 8, 8));
	GIVES("writev up to the end of a page", 8, writev(ends[1], &good, 1));
	FAILS("read into what can't be written", EFAULT, read(ends[0], bad, 8));
	char all[64];
	check("what was written is there", read(ends[0], all, sizeof all) >= 16 && !memcmp(all, &block, 8) && !memcmp(all + 8, &block, 8));
	close(s[0]);
	close(s[1]);
	/* what could be read a moment ago */
	GIVES("write from a page", 8, write(ends[1], page, 8));
	if (mprotect(page, 4096, PROT_NONE))
		exit(2);
	FAILS("and of it, protected", EFAULT, write(ends[1], page, 8));
	if (mprotect(page, 4096, PROT_READ))
		exit(2);
	GIVES("and of it, readable again", 8, write(ends[1], page, 8));
	munmap(page, 8192);
	FAILS("and of it, unmapped", EFAULT, write(ends[1], page, 8));
	check("three came", read(ends[0], all, sizeof all) == 16);
}

/* One page that carries the pointer and was written from; then it is taken away in each way that there is. */
enum { GUARD = 102 }; /* MADV_GUARD_INSTALL, Linux 6.13 */
static char *known_page(int fd)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0), back[8];
	if (page == MAP_FAILED)
		exit(2);
	memcpy(page, &block, 8);
	check("a page is written from", write(ends[1], page, 8) == 8 && read(ends[0], back, 8) == 8);
	return page;
}
static void lost_pages(void)
{
	char *page = known_page(-1);
	check("another mapping at its place", mmap(page, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	FAILS("write of it", EFAULT, write(ends[1], page, 8));
	munmap(page, 4096);
	for (int how = 0; how < 3; how++) {
		int fd = memfd_create("flight", 0);
		if (fd < 0 || ftruncate(fd, 4096))
			exit(2);
		page = known_page(fd);
		char name[40];
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		check("its file gets shorter", (how == 0 ? ftruncate(fd, 0) : how == 1 ? truncate(name, 0) : (int)syscall(SYS_ftruncate, fd, 0)) == 0);
		FAILS("write of it", EFAULT, write(ends[1], page, 8));
		munmap(page, 4096);
		close(fd);
	}
	page = known_page(-1);
	check("protected by number", syscall(SYS_mprotect, page, 4096, PROT_NONE) == 0);
	FAILS("write of it", EFAULT, write(ends[1], page, 8));
	munmap(page, 4096);
	page = known_page(-1);
	check("unmapped by number", syscall(SYS_munmap, page, 4096) == 0);
	FAILS("write of it", EFAULT, write(ends[1], page, 8));
	page = known_page(-1);
	if (madvise(page, 4096, GUARD) == 0)
		FAILS("write of a guard", EFAULT, write(ends[1], page, 8));
	munmap(page, 4096);
}

/* TCP throws away what is received with MSG_TRUNC, and says how much it was. */
static void thrown_away(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &size)
	    || connect(client, (struct sockaddr *)&at, size))
		exit(2);
	int server = accept(listener, NULL, NULL);
	for (int i = 0; i < 2; i++)
		GIVES("send", 8, send(client, &block, 8, 0));
	GIVES("recv with MSG_TRUNC and no buffer", 8, recv(server, NULL, 8, MSG_TRUNC | MSG_WAITALL));
	struct iovec none = { NULL, 8 };
	struct msghdr m = { .msg_iov = &none, .msg_iovlen = 1 };
	GIVES("recvmsg with MSG_TRUNC and no buffer", 8, recvmsg(server, &m, MSG_TRUNC | MSG_WAITALL));
	close(listener);
	close(client);
	close(server);
}

static void full_and_closed(void)
{
	int p[2];
	char fill[4096] = "", room[64];
	struct timespec soon;
	if (pipe2(p, O_NONBLOCK))
		exit(2);
	while (write(p[1], fill, sizeof fill) > 0) {
	}
	void *local = block;
	FAILS("a full pipe", EAGAIN, write(p[1], &local, sizeof local));
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	FAILS("a pipe that nobody reads", EPIPE, write(p[1], &local, sizeof local));
	close(p[1]);
	FAILS("a closed descriptor", EBADF, write(p[1], &local, sizeof local));
	FAILS("no socket", ENOTSOCK, send(ends[1], &local, sizeof local, 0));
	for (int i = 0; i < 2; i++)
		GIVES("mq_send", 0, mq_send(queue, (char *)&local, sizeof local, 0));
	clock_gettime(CLOCK_REALTIME, &soon);
	FAILS("a full queue", ETIMEDOUT, mq_timedsend(queue, (char *)&local, sizeof local, 0, &soon));
	FAILS("a message that is too long", EMSGSIZE, mq_send(queue, fill, sizeof fill, 0));
	for (int i = 0; i < 2; i++)
		GIVES("mq_receive", (ssize_t)sizeof local, mq_receive(queue, room, sizeof room, NULL));
	memcpy(&local, room, sizeof local);
	FAILS("an empty queue", ETIMEDOUT, mq_timedreceive(queue, room, sizeof room, NULL, &soon));
	FAILS("an empty System V queue", ENOMSG, msgrcv(queue_id, fill, 8, 0, IPC_NOWAIT));
	struct { long type; void *p; } m = { 5, block };
	GIVES("msgsnd", 0, msgsnd(queue_id, &m, sizeof m.p, 0));
	FAILS("a message that does not fit", E2BIG, msgrcv(queue_id, &m, 0, 0, 0));
	GIVES("msgrcv", (ssize_t)sizeof m.p, msgrcv(queue_id, &m, sizeof m.p, 0, 0));
	check("what was sent", m.type == 5 && m.p == block && local == block);
}

/* tee and vmsplice hand through. */
static void pages(void)
{
	int copy[2];
	void *a = block, *b = NULL, *c = NULL;
	struct iovec part = { &a, sizeof a };
	if (pipe(copy))
		exit(2);
	GIVES("vmsplice", (ssize_t)sizeof a, vmsplice(ends[1], &part, 1, 0));
	GIVES("tee", (ssize_t)sizeof a, tee(ends[0], copy[1], 100, 0));
	check("both have it", read(ends[0], &b, sizeof b) == sizeof b && read(copy[0], &c, sizeof c) == sizeof c && b == block && c == block);
	close(copy[0]);
	close(copy[1]);
}

/* -- signals -- */

static sigjmp_buf out;
static volatile bool leave;
static void on_alarm(int signal_number)
{
	void *local = block, *back = NULL;
	int p[2];
	if (pipe(p) || write(p[1], &local, sizeof local) != sizeof local || read(p[0], &back, sizeof back) != sizeof back || back != block)
		wrong++;
	close(p[0]);
	close(p[1]);
	if (leave) {
		leave = false;
		siglongjmp(out, 1);
	}
}
/* Again and again, should the first come before the call. 0: no more. */
static void alarm_every(unsigned us)
{
	struct itimerval t = { { 0, (suseconds_t)us }, { 0, (suseconds_t)us } };
	setitimer(ITIMER_REAL, &t, NULL);
}

static void handlers(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	void *local = block;
	int p[2];
	char fill[4096] = "";
	if (pipe(p) || fcntl(p[1], F_SETFL, O_NONBLOCK))
		exit(2);
	while (write(p[1], fill, sizeof fill) > 0) {
	}
	fcntl(p[1], F_SETFL, 0);
	sigaction(SIGALRM, &act, NULL);
	alarm_every(30000);
	FAILS("a handler ends mq_receive", EINTR, mq_receive(queue, fill, sizeof fill, NULL));
	FAILS("a handler ends a write that waits", EINTR, write(p[1], &local, sizeof local));
	FAILS("a handler ends msgrcv", EINTR, msgrcv(queue_id, fill, 8, 0, 0));
	if (sigsetjmp(out, 1) == 0) {
		leave = true;
		check("a write that a handler left came back", write(p[1], &local, sizeof local) == 12345);
	} else {
		check("a handler leaves a write by longjmp", true);
	}
	if (sigsetjmp(out, 1) == 0) {
		leave = true;
		check("an mq_receive that a handler left came back", mq_receive(queue, fill, sizeof fill, NULL) == 12345);
	} else {
		check("and mq_receive", true);
	}
	alarm_every(0);
	close(p[0]);
	close(p[1]);
}

/* -- cancellation -- */

static int full[2];
static void *cancelled(void *arg)
{
	char room[64];
	void *local = block;
	struct { long type; void *p; } m = { 1, NULL };
	struct iovec part = { &local, sizeof local };
	switch ((long)arg) {
	case 0: mq_receive(queue, room, sizeof room, NULL); break;
	case 1: mq_timedreceive(queue, room, sizeof room, NULL, &(struct timespec){ 1l << 33, 0 }); break;
	case 2: if (write(full[1], &local, sizeof local) < 0) return "error"; break;
	case 3: if (writev(full[1], &part, 1) < 0) return "error"; break;
	case 4: if (read(ends[0], &local, sizeof local) < 0) return "error"; break;
	case 5: msgrcv(queue_id, &m, sizeof m.p, 0, 0); break;
	case 6: if (vmsplice(full[1], &part, 1, 0) < 0) return "error"; break;
	default: if (tee(ends[0], full[1], 1, 0) < 0) return "error";
	}
	return "came back";
}

static void cancellation(void)
{
	static const char *const names[] = { "mq_receive", "mq_timedreceive", "write", "writev", "read", "msgrcv", "vmsplice", "tee" };
	char fill[4096] = "";
	if (pipe(full) || fcntl(full[1], F_SETFL, O_NONBLOCK))
		exit(2);
	while (write(full[1], fill, sizeof fill) > 0) {
	}
	fcntl(full[1], F_SETFL, 0);
	for (long i = 0; i < 8; i++) {
		pthread_t t;
		void *result = NULL;
		char line[64];
		if (pthread_create(&t, NULL, cancelled, (void *)i))
			exit(2);
		usleep(20000);
		pthread_cancel(t);
		pthread_join(t, &result);
		snprintf(line, sizeof line, "%s is cancelled", names[i]);
		check(line, result == PTHREAD_CANCELED);
	}
}

/* -- a buffer that its reader unmaps, the moment it has it -- */

static void *unmap_what_comes(void *arg)
{
	struct { void *page, *block; char more[48]; } m;
	while (read(ends[0], &m, sizeof m) == (ssize_t)sizeof m && m.page)
		if (m.block != block || munmap(m.page, 4096))
			wrong++;
	return NULL;
}

static void given_away(void)
{
	pthread_t t;
	char none[64] = "";
	if (pthread_create(&t, NULL, unmap_what_comes, NULL))
		exit(2);
	for (int i = 0; i < 3000; i++) {
		void **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct iovec *part = (struct iovec *)(page + 100);
		page[0] = page;
		page[1] = block;
		*part = (struct iovec){ page, 64 };
		if ((i % 2 ? write(ends[1], page, 64) : writev(ends[1], part, 1)) != 64)
			wrong++;
	}
	if (write(ends[1], none, sizeof none) != (ssize_t)sizeof none)
		wrong++;
	pthread_join(t, NULL);
	check("readers unmap what was written", wrong == 0);
}

/* -- flood -- */

static size_t lose_and_collect(void)
{
	enum { LOST = 2000, SIZE = 224 };
	static uintptr_t hidden[LOST];
	size_t back = 0;
	for (int i = 0; i < LOST; i++)
		hidden[i] = kit_hide((uintptr_t)malloc(SIZE));
	kit_scrub();
	kit_collect(1);
	for (int i = 0; i < 2 * LOST; i++) {
		uintptr_t p = kit_hide((uintptr_t)malloc(SIZE));
		for (int k = 0; k < LOST; k++)
			if (hidden[k] == p) {
				hidden[k] = 0;
				back++;
				break;
			}
	}
	return back;
}

static int flood(unsigned seconds)
{
	enum { WORDS = 400000, PART = 64 };
	char *big = malloc(WORDS * 16);
	void *part[PART];
	if (!big)
		return 2;
	for (int i = 0; i < WORDS; i += PART) {
		for (int k = 0; k < PART; k++)
			part[k] = big + 16 * (i + k);
		if (write(null, part, sizeof part) != sizeof part)
			return 2;
	}
	size_t at_once = lose_and_collect();
	sleep(seconds);
	printf("%zu %zu\n", at_once, lose_and_collect());
	return 0;
}

static void on_end(int signal_number) /* a System V queue outlives its process */
{
	msgctl(queue_id, IPC_RMID, NULL);
	raise(signal_number);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_end, .sa_flags = (int)SA_RESETHAND };
	for (int i = 0; i < 4; i++)
		sigaction((int[]){ SIGTERM, SIGINT, SIGABRT, SIGSEGV }[i], &act, NULL);
	char name[48];
	struct mq_attr sizes = { .mq_maxmsg = 2, .mq_msgsize = 64 };
	null = open("/dev/null", O_WRONLY);
	block = malloc(100);
	snprintf(name, sizeof name, "/cgc-edges-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &sizes);
	mq_unlink(name);
	queue_id = msgget(IPC_PRIVATE, 0600);
	if (null < 0 || !block || pipe(ends) || queue == (mqd_t)-1 || queue_id < 0)
		return 2;
	int status = 0;
	if (argc > 2 && !strcmp(argv[1], "flood")) {
		status = flood((unsigned)atoi(argv[2]));
	} else {
		bad_buffers();
		lost_pages();
		thrown_away();
		full_and_closed();
		pages();
		handlers();
		given_away();
		cancellation();
		status = wrong != 0;
	}
	msgctl(queue_id, IPC_RMID, NULL);
	return status;
}
