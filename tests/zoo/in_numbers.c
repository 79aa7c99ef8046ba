/* The only pointer is in flight, or held by a request, and came there by a system call's number: one block for each call
 * that takes data away with it and leaves it with the kernel, and for requests of io_submit and io_uring that do. Each has a pipe, a pair of sockets, or a queue of its own. */
#include "zoo.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { NOT_HERE = -2, ROOM = 64 };

/* What a call is given: the word that it carries, twice for those that gather, and where to. */
struct way {
	const char *name;
	long (*send)(int fd, uintptr_t *word);
	int kind; /* of the channel */
};
enum { PIPE, SOCKET, DATAGRAM, SYSV, QUEUE };

static struct iovec part(uintptr_t *word) { return (struct iovec){ word, sizeof *word }; }

static long by_write(int fd, uintptr_t *word) { return syscall(SYS_write, fd, word, sizeof *word); }
static long by_writev(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	return syscall(SYS_writev, fd, &v, 1);
}
static long by_seam(int fd, uintptr_t *word)
{
	struct iovec v[2] = { { word, 3 }, { (char *)word + 3, 5 } };
	return syscall(SYS_writev, fd, v, 2);
}
static long by_pwritev2(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	return syscall(SYS_pwritev2, fd, &v, 1, -1L, -1L, 0);
}
static long by_vmsplice(int fd, uintptr_t *word)
{
	static uintptr_t *page;
	page = page ? page : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*page = *word;
	struct iovec v = part(page);
	long r = syscall(SYS_vmsplice, fd, &v, 1, 0);
	munmap(page, 4096); /* the pipe has the page */
	page = NULL;
	return r;
}
static long by_sendto(int fd, uintptr_t *word) { return syscall(SYS_sendto, fd, word, sizeof *word, 0, NULL, 0); }
static long by_sendmsg(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	return syscall(SYS_sendmsg, fd, &m, 0);
}
static long by_sendmmsg(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } };
	return syscall(SYS_sendmmsg, fd, &m, 1, 0) == 1 ? 8 : -1;
}
static long by_msgsnd(int fd, uintptr_t *word)
{
	struct { long type; uintptr_t word; } m = { 1, *word };
	return syscall(SYS_msgsnd, fd, &m, sizeof m.word, 0) == 0 ? 8 : -1;
}
static long by_queue(int fd, uintptr_t *word) { return syscall(SYS_mq_timedsend, fd, word, sizeof *word, 0, NULL) == 0 ? 8 : -1; }

/* From one pipe into another. */
static long handed_on(int fd, uintptr_t *word, long number)
{
	int p[2];
	if (pipe(p) || syscall(SYS_write, p[1], word, sizeof *word) != sizeof *word)
		return -1;
	long r = number == SYS_tee ? syscall(SYS_tee, p[0], fd, sizeof *word, 0) : syscall(SYS_splice, p[0], NULL, fd, NULL, sizeof *word, 0);
	uintptr_t read_too;
	if (number == SYS_tee && syscall(SYS_read, p[0], &read_too, sizeof read_too) != sizeof read_too)
		return -1;
	close(p[0]);
	close(p[1]);
	return r;
}
static long by_splice(int fd, uintptr_t *word) { return handed_on(fd, word, SYS_splice); }
static long by_tee(int fd, uintptr_t *word) { return handed_on(fd, word, SYS_tee); }

static long by_iocb(int fd, uintptr_t *word, int opcode)
{
	static aio_context_t context;
	struct iovec v = part(word);
	struct iocb b = { .aio_fildes = (uint32_t)fd, .aio_lio_opcode = (uint16_t)opcode, .aio_buf = (uintptr_t)word, .aio_nbytes = sizeof *word }, *list = &b;
	struct io_event e = { 0 };
	if (opcode == IOCB_CMD_PWRITEV) {
		b.aio_buf = (uintptr_t)&v;
		b.aio_nbytes = 1;
	}
	if (!context && syscall(SYS_io_setup, 8, &context) < 0)
		return NOT_HERE;
	if (syscall(SYS_io_submit, context, 1, &list) != 1 || syscall(SYS_io_getevents, context, 1, 1, &e, NULL) != 1)
		return NOT_HERE;
	return (long)e.res == -ESPIPE || (long)e.res == -EINVAL ? NOT_HERE : (long)e.res;
}
static long by_io_submit(int fd, uintptr_t *word) { return by_iocb(fd, word, IOCB_CMD_PWRITE); }
static long by_io_submit_vectors(int fd, uintptr_t *word) { return by_iocb(fd, word, IOCB_CMD_PWRITEV); }

/* ---- io_uring ---- */

static struct {
	int fd;
	unsigned *tail, *mask, *array, *head, *done, *done_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *completions;
} ring = { .fd = -1 };

static bool ring_there(void)
{
	struct io_uring_params p = { 0 };
	if (ring.fd >= 0)
		return true;
	ring.fd = (int)syscall(SYS_io_uring_setup, 64, &p);
	if (ring.fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	size_t size = p.cq_off.cqes + p.cq_entries * sizeof *ring.completions, size2 = p.sq_off.array + p.sq_entries * sizeof *ring.array;
	char *at = mmap(NULL, size > size2 ? size : size2, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	ring.entries = mmap(NULL, p.sq_entries * sizeof *ring.entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (at == MAP_FAILED || ring.entries == MAP_FAILED)
		return false;
	ring.tail = (unsigned *)(void *)(at + p.sq_off.tail);
	ring.mask = (unsigned *)(void *)(at + p.sq_off.ring_mask);
	ring.array = (unsigned *)(void *)(at + p.sq_off.array);
	ring.head = (unsigned *)(void *)(at + p.cq_off.head);
	ring.done = (unsigned *)(void *)(at + p.cq_off.tail);
	ring.done_mask = (unsigned *)(void *)(at + p.cq_off.ring_mask);
	ring.completions = (struct io_uring_cqe *)(void *)(at + p.cq_off.cqes);
	return true;
}

static bool submit(struct io_uring_sqe e)
{
	if (!ring_there())
		return false;
	unsigned slot = *ring.tail & *ring.mask;
	ring.entries[slot] = e;
	ring.array[slot] = slot;
	__atomic_store_n(ring.tail, *ring.tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0) == 1;
}

static struct io_uring_cqe completion(void)
{
	while (*ring.head == __atomic_load_n(ring.done, __ATOMIC_ACQUIRE))
		if (syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			exit(2);
	struct io_uring_cqe c = ring.completions[*ring.head & *ring.done_mask];
	__atomic_store_n(ring.head, *ring.head + 1, __ATOMIC_RELEASE);
	return c;
}

static long by_ring(int fd, struct io_uring_sqe e)
{
	e.fd = fd;
	e.user_data = 0x77;
	if (!submit(e))
		return NOT_HERE;
	const int result = completion().res;
	return result == -EINVAL || result == -EOPNOTSUPP ? NOT_HERE : result;
}
static long by_ring_write(int fd, uintptr_t *word)
{
	return by_ring(fd, (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .addr = (uintptr_t)word, .len = sizeof *word, .off = (uint64_t)-1 });
}
static long by_ring_writev(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	return by_ring(fd, (struct io_uring_sqe){ .opcode = IORING_OP_WRITEV, .addr = (uintptr_t)&v, .len = 1, .off = (uint64_t)-1 });
}
static long by_ring_send(int fd, uintptr_t *word)
{
	return by_ring(fd, (struct io_uring_sqe){ .opcode = IORING_OP_SEND, .addr = (uintptr_t)word, .len = sizeof *word });
}
static long by_ring_sendmsg(int fd, uintptr_t *word)
{
	struct iovec v = part(word);
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	return by_ring(fd, (struct io_uring_sqe){ .opcode = IORING_OP_SENDMSG, .addr = (uintptr_t)&m, .len = 1 });
}
static long by_ring_send_zero_copy(int fd, uintptr_t *word)
{
	long r = by_ring(fd, (struct io_uring_sqe){ .opcode = 47 /* SEND_ZC, Linux 6.0 */, .addr = (uintptr_t)word, .len = sizeof *word });
	return r == sizeof *word && completion().user_data != 0x77 ? -1 : r;
}

static const struct way ways[] = {
	{ "write", by_write, PIPE }, { "write to a socket", by_write, SOCKET }, { "writev", by_writev, PIPE }, { "writev over a seam", by_seam, PIPE },
	{ "pwritev2", by_pwritev2, PIPE }, { "vmsplice", by_vmsplice, PIPE }, { "sendto", by_sendto, SOCKET }, { "sendto, a datagram", by_sendto, DATAGRAM },
	{ "sendmsg", by_sendmsg, SOCKET }, { "sendmmsg", by_sendmmsg, DATAGRAM }, { "msgsnd", by_msgsnd, SYSV }, { "mq_timedsend", by_queue, QUEUE },
	{ "splice", by_splice, PIPE }, { "tee", by_tee, PIPE }, { "io_submit", by_io_submit, PIPE },
	{ "io_submit of vectors", by_io_submit_vectors, SOCKET }, { "IORING_OP_WRITE", by_ring_write, PIPE }, { "IORING_OP_WRITEV", by_ring_writev, SOCKET },
	{ "IORING_OP_SEND", by_ring_send, SOCKET }, { "IORING_OP_SENDMSG", by_ring_sendmsg, DATAGRAM },
	{ "IORING_OP_SEND_ZC", by_ring_send_zero_copy, SOCKET },
};
enum { WAYS = sizeof ways / sizeof *ways };
static struct channel {
	int fd[2];
	bool sent;
} channels[WAYS];

static bool channel(int kind, struct channel *w)
{
	char name[64];
	switch (kind) {
	case PIPE:
		return pipe(w->fd) == 0;
	case SOCKET:
	case DATAGRAM:
		return socketpair(AF_UNIX, kind == SOCKET ? SOCK_STREAM : SOCK_DGRAM, 0, w->fd) == 0;
	case SYSV:
		return (w->fd[0] = w->fd[1] = (int)syscall(SYS_msgget, IPC_PRIVATE, 0600)) >= 0;
	default:
		snprintf(name, sizeof name, "cgc-zoo-%d", getpid());
		struct { long flags, most, size, now, more[4]; } sizes = { 0, 2, 8, 0, { 0 } };
		w->fd[0] = w->fd[1] = (int)syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, &sizes);
		syscall(SYS_mq_unlink, name);
		return w->fd[0] >= 0;
	}
}

static __attribute__((noinline)) void place(const struct way *w, struct channel *to)
{
	uintptr_t word = (uintptr_t)zoo_block();
	long r = w->send(to->fd[1], &word);
	word = 0;
	__asm__ volatile("" : : "r"(&word) : "memory");
	to->sent = r == (long)sizeof word;
	if (!to->sent && r != NOT_HERE) {
		fprintf(stderr, "zoo: %s: %s\n", w->name, strerror(errno));
		exit(2);
	}
}

static uintptr_t receive(int kind, const struct channel *w)
{
	struct { long type; uintptr_t word; } m = { 0, 0 };
	char room[ROOM] = "";
	if (kind == SYSV)
		return syscall(SYS_msgrcv, w->fd[0], &m, sizeof m.word, 0L, IPC_NOWAIT) == sizeof m.word ? m.word : 0;
	long r = kind == QUEUE ? syscall(SYS_mq_timedreceive, w->fd[0], room, sizeof room, NULL, NULL) : syscall(SYS_read, w->fd[0], room, sizeof m.word);
	memcpy(&m.word, room, sizeof m.word);
	return r == sizeof m.word ? m.word : 0;
}

int main(void)
{
	int wrong = 0;
	zoo_needs_collector();
	for (int i = 0; i < WAYS; i++)
		if (channel(ways[i].kind, &channels[i]))
			place(&ways[i], &channels[i]);
	zoo_collect(ZOO_SIZE);
	for (int i = 0; i < WAYS; i++) {
		uintptr_t word = channels[i].sent ? receive(ways[i].kind, &channels[i]) : 0;
		if (channels[i].sent && (!word || !kit_intact((const void *)word, 0, ZOO_SIZE, ZOO_ID))) {
			fprintf(stderr, "zoo: %s: the block in flight was recycled\n", ways[i].name);
			wrong++;
		}
		if (ways[i].kind == SYSV)
			syscall(SYS_msgctl, channels[i].fd[0], IPC_RMID, NULL);
	}
	return wrong != 0;
}
