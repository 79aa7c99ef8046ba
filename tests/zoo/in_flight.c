/* The only pointer is on its way: written by each call that can write, by name and by number, whole, as one part of many, or cut apart
 * by the seam of two parts; counted by an eventfd; or sent with a signal to a descriptor of this process. */
#include "zoo.h"
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { PARTS = 40 };
static int ends[2];
static uintptr_t word;
static struct iovec parts[PARTS];
static char filler[PARTS];

static struct iovec *whole(void)
{
	parts[0] = (struct iovec){ &word, 8 };
	return parts;
}

static long by_write(void) { return syscall(SYS_write, ends[1], &word, 8); }
static long by_writev(void) { return syscall(SYS_writev, ends[1], whole(), 1); }
static long by_pwritev2(void) { return pwritev2(ends[1], whole(), 1, -1, 0); }
static long by_pwritev2_number(void) { return syscall(SYS_pwritev2, ends[1], whole(), 1, -1L, -1L, 0); }
static long by_sendto(void) { return syscall(SYS_sendto, ends[1], &word, 8, 0, NULL, 0); }
static long by_sendmsg(void)
{
	struct msghdr m = { .msg_iov = whole(), .msg_iovlen = 1 };
	return syscall(SYS_sendmsg, ends[1], &m, 0);
}
static long by_sendmmsg(void)
{
	struct mmsghdr m = { .msg_hdr = { .msg_iov = whole(), .msg_iovlen = 1 } };
	return syscall(SYS_sendmmsg, ends[1], &m, 1, 0) == 1 ? 8 : -1;
}
static long by_many_parts(void)
{
	for (int i = 0; i < PARTS; i++)
		parts[i] = (struct iovec){ &filler[i], 1 };
	parts[PARTS - 8] = (struct iovec){ &word, 8 };
	return writev(ends[1], parts, PARTS) == PARTS + 7 ? 8 : -1;
}
static long by_seam(void)
{
	parts[0] = (struct iovec){ &word, 3 };
	parts[1] = (struct iovec){ (char *)&word + 3, 5 };
	return writev(ends[1], parts, 2);
}
static long by_bytes(void)
{
	for (int i = 0; i < 8; i++)
		parts[i] = (struct iovec){ (char *)&word + i, 1 };
	return writev(ends[1], parts, 8);
}
static long by_counter(void) { return eventfd_write(ends[1], word) == 0 ? 8 : -1; }

static const struct way {
	const char *name;
	enum { PIPE, SOCKET, COUNTER } kind;
	long (*go)(void);
	int skip; /* bytes before the word */
} ways[] = {
	{ "write", PIPE, by_write, 0 }, { "writev", PIPE, by_writev, 0 }, { "pwritev2", PIPE, by_pwritev2, 0 },
	{ "pwritev2 by number", PIPE, by_pwritev2_number, 0 }, { "sendto", SOCKET, by_sendto, 0 },
	{ "sendmsg", SOCKET, by_sendmsg, 0 }, { "sendmmsg", SOCKET, by_sendmmsg, 0 }, { "many parts", PIPE, by_many_parts, PARTS - 8 },
	{ "a seam", PIPE, by_seam, 0 }, { "bytes", PIPE, by_bytes, 0 }, { "a counter", COUNTER, by_counter, 0 },
};

static __attribute__((noinline)) void place(const struct way *way)
{
	if (way->kind == COUNTER)
		ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC);
	else if (way->kind == PIPE ? pipe(ends) : socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		exit(2);
	word = (uintptr_t)zoo_block();
	if (way->go() != 8)
		exit(2);
	word = 0;
}

static void *arrived(const struct way *way)
{
	char bytes[PARTS + 8];
	uintptr_t p;
	if (read(ends[0], bytes, sizeof bytes) < way->skip + 8)
		exit(2);
	memcpy(&p, bytes + way->skip, sizeof p);
	return (void *)p;
}

extern int pidfd_send_signal(int, int, siginfo_t *, unsigned) __attribute__((weak));

static __attribute__((noinline)) bool send_value(void)
{
	sigset_t signals;
	siginfo_t info;
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0 || !pidfd_send_signal)
		return false;
	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	memset(&info, 0, sizeof info);
	info.si_signo = SIGRTMIN;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_value.sival_ptr = zoo_block();
	bool sent = pidfd_send_signal(self, SIGRTMIN, &info, 0) == 0;
	memset(&info, 0, sizeof info);
	__asm__ volatile("" : : "r"(&info) : "memory");
	return sent;
}

int main(void)
{
	int bad = 0;
	zoo_needs_collector();
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		place(&ways[i]);
		zoo_collect(ZOO_SIZE);
		if (zoo_verdict(arrived(&ways[i]))) {
			fprintf(stderr, "zoo: by %s\n", ways[i].name);
			bad = 1;
		}
	}
	if (send_value()) {
		sigset_t signals;
		siginfo_t info;
		zoo_collect(ZOO_SIZE);
		sigemptyset(&signals);
		sigaddset(&signals, SIGRTMIN);
		if (sigwaitinfo(&signals, &info) != SIGRTMIN)
			exit(2);
		bad |= zoo_verdict(info.si_value.sival_ptr);
	}
	return bad;
}
