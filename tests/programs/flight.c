/*
 * flight SECONDS [SEED]: blocks whose only pointer travels.
 *
 * A ring of threads, and between each two a channel of another kind: pipes, sockets, POSIX and System V queues, shared memory. A
 * thread takes a pointer out of its channel, checks the block, hands it on, or frees it (or loses it, one in eight) and hands on a new
 * one. Between two hops a block is held by nothing but its channel: stack and registers are scrubbed, and buffers that messages
 * were made in are cleared. What was recycled on the way is overwritten, by the noise that each thread allocates, and aborts the program.
 *
 * Fewer blocks travel than the widest channel holds, so the ring never stands still. Last line: `ok hops N blocks N`.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "kit.h"

enum { CHANNELS = 13, TRAVELLERS = 60, RING = 128, NOISE = 24 };

struct block {
	uint64_t hash;
	uint32_t size, number;
	uint64_t words[];
};

/* Words in shared memory, for one sender and one receiver. */
struct ring {
	sem_t filled, room;
	struct block *slot[RING];
	unsigned in, out;
};

struct packed {
	char kind[3];
	struct block *block;
} __attribute__((packed));

struct channel {
	const char *name;
	void (*send)(struct channel *c, struct block **b); /* *b is cleared by the caller */
	struct block *(*receive)(struct channel *c);
	int in, out;          /* descriptors, or a queue's number */
	struct ring *ring;
	struct packed *heap;  /* a message that is made in a heap block */
};
static struct channel channels[CHANNELS];
static uint64_t hops, blocks; /* atomic */
static int travelling;        /* atomic */
static bool stop;             /* atomic */
static uint32_t numbers;      /* atomic */

static __attribute__((noinline, noreturn)) void failed(struct channel *c, const char *what)
{
	char line[160];
	int n = snprintf(line, sizeof line, "flight: %s: %s failed: %m\n", c->name, what);
	if (write(2, line, (size_t)n) < 0)
		_exit(3);
	abort();
}
static void whole(struct channel *c, ssize_t got, size_t wanted, const char *what)
{
	if (got != (ssize_t)wanted)
		failed(c, what);
}

/* -- kinds of channels -- */

static void send_write(struct channel *c, struct block **b) { whole(c, write(c->in, b, sizeof *b), sizeof *b, "write"); }
static struct block *receive_read(struct channel *c)
{
	struct block *b = NULL;
	whole(c, read(c->out, &b, sizeof b), sizeof b, "read");
	return b;
}

/* From the heap, at an odd address: where no word is looked for, so *b holds the block until it is sent. */
static void send_writev(struct channel *c, struct block **b)
{
	c->heap->block = *b;
	struct iovec parts[2] = { { (char *)"head", 4 }, { c->heap, sizeof *c->heap } };
	whole(c, writev(c->in, parts, 2), 4 + sizeof *c->heap, "writev");
	c->heap->block = NULL;
}
static struct block *receive_readv(struct channel *c)
{
	char head[4];
	struct packed p;
	struct iovec parts[2] = { { head, 4 }, { &p, sizeof p } };
	whole(c, readv(c->out, parts, 2), 4 + sizeof p, "readv");
	return p.block;
}

static void send_send(struct channel *c, struct block **b) { whole(c, send(c->in, b, sizeof *b, 0), sizeof *b, "send"); }
static __attribute__((noinline)) void peek(struct channel *c)
{
	struct block *b;
	whole(c, recv(c->out, &b, sizeof b, MSG_PEEK | MSG_WAITALL), sizeof b, "peek");
}
static struct block *receive_peeked(struct channel *c) /* a look takes nothing out */
{
	struct block *b;
	peek(c);
	kit_scrub();
	for (int i = 0; i < 8; i++)
		free(malloc(600 + (size_t)i * 100));
	sched_yield();
	whole(c, recv(c->out, &b, sizeof b, MSG_WAITALL), sizeof b, "recv");
	return b;
}

static void send_message(struct channel *c, struct block **b)
{
	struct iovec part = { b, sizeof *b };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	whole(c, sendmsg(c->in, &m, 0), sizeof *b, "sendmsg");
}
static struct block *receive_message(struct channel *c)
{
	struct block *b = NULL;
	struct iovec part = { &b, sizeof b };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	whole(c, recvmsg(c->out, &m, 0), sizeof b, "recvmsg");
	return b;
}

static void send_datagram(struct channel *c, struct block **b) /* long, and the pointer at its end */
{
	char text[200];
	memset(text, '.', sizeof text);
	memcpy(text + sizeof text - sizeof *b, b, sizeof *b);
	whole(c, sendto(c->in, text, sizeof text, 0, NULL, 0), sizeof text, "sendto");
}
static struct block *receive_datagram(struct channel *c)
{
	char text[300];
	struct block *b;
	whole(c, recvfrom(c->out, text, sizeof text, 0, NULL, NULL), 200, "recvfrom");
	memcpy(&b, text + 200 - sizeof b, sizeof b);
	return b;
}

static void send_several(struct channel *c, struct block **b)
{
	char other[16] = "not a pointer";
	struct iovec parts[2] = { { other, sizeof other }, { b, sizeof *b } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &parts[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &parts[1], .msg_iovlen = 1 } } };
	whole(c, sendmmsg(c->in, m, 2, 0), 2, "sendmmsg");
}
static struct block *receive_several(struct channel *c)
{
	char other[16];
	struct block *b = NULL;
	struct iovec parts[2] = { { other, sizeof other }, { &b, sizeof b } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &parts[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &parts[1], .msg_iovlen = 1 } } };
	whole(c, recvmmsg(c->out, m, 2, 0, NULL), 2, "recvmmsg");
	return b;
}

static void send_queue(struct channel *c, struct block **b)
{
	if (mq_send((mqd_t)c->in, (char *)b, sizeof *b, 0))
		failed(c, "mq_send");
}
static void send_queue_timed(struct channel *c, struct block **b)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1000;
	if (mq_timedsend((mqd_t)c->in, (char *)b, sizeof *b, 0, &until))
		failed(c, "mq_timedsend");
}
static struct block *receive_queue(struct channel *c)
{
	struct block *b = NULL;
	whole(c, mq_receive((mqd_t)c->in, (char *)&b, sizeof b, NULL), sizeof b, "mq_receive");
	return b;
}
static struct block *receive_queue_timed(struct channel *c)
{
	struct block *b = NULL;
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1000;
	whole(c, mq_timedreceive((mqd_t)c->in, (char *)&b, sizeof b, NULL, &until), sizeof b, "mq_timedreceive");
	return b;
}

struct message {
	long type;
	struct block *block;
};
static void send_msg(struct channel *c, struct block **b)
{
	struct message m = { 1, *b };
	if (msgsnd(c->in, &m, sizeof m.block, 0))
		failed(c, "msgsnd");
}
static struct block *receive_msg(struct channel *c)
{
	struct message m = { 0, NULL };
	whole(c, msgrcv(c->in, &m, sizeof m.block, 0, 0), sizeof m.block, "msgrcv");
	return m.block;
}
static void send_type(struct channel *c, struct block **b) /* the pointer is the message's type: 1 stands for none */
{
	struct message m = { *b ? (long)*b : 1, NULL };
	if (msgsnd(c->in, &m, 0, 0))
		failed(c, "msgsnd");
}
static struct block *receive_type(struct channel *c)
{
	struct message m = { 0, NULL };
	whole(c, msgrcv(c->in, &m, 0, 0, 0), 0, "msgrcv");
	return m.type == 1 ? NULL : (struct block *)m.type;
}

static void send_ring(struct channel *c, struct block **b)
{
	while (sem_wait(&c->ring->room)) {
	}
	c->ring->slot[c->ring->in++ % RING] = *b;
	*b = NULL;
	sem_post(&c->ring->filled);
}
static struct block *receive_ring(struct channel *c)
{
	while (sem_wait(&c->ring->filled)) {
	}
	struct block **slot = &c->ring->slot[c->ring->out++ % RING], *b = *slot;
	*slot = NULL;
	sem_post(&c->ring->room);
	return b;
}

/* -- making them -- */

static void over_pipe(struct channel *c)
{
	int ends[2];
	if (pipe(ends))
		failed(c, "pipe");
	c->out = ends[0], c->in = ends[1];
}
static void over_socket(struct channel *c, int type)
{
	int ends[2];
	if (socketpair(AF_UNIX, type, 0, ends))
		failed(c, "socketpair");
	c->out = ends[0], c->in = ends[1];
}
static void over_queue(struct channel *c)
{
	char name[48];
	struct mq_attr sizes = { .mq_maxmsg = 8, .mq_msgsize = sizeof(void *) };
	snprintf(name, sizeof name, "/cgc-flight-%d-%ld", getpid(), (long)(c - channels));
	c->in = (int)mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &sizes);
	if (c->in < 0)
		failed(c, "mq_open");
	mq_unlink(name);
}
static void over_msg(struct channel *c)
{
	c->in = msgget(IPC_PRIVATE, 0600);
	if (c->in < 0)
		failed(c, "msgget");
}
static void over_memory(struct channel *c, void *at)
{
	if (at == MAP_FAILED)
		failed(c, "shared memory");
	c->ring = at;
	sem_init(&c->ring->filled, 1, 0);
	sem_init(&c->ring->room, 1, RING);
}
static void *shared(int fd, int flags) { return mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0); }

/* System V queues outlive their process: they are removed however it ends, but for SIGKILL. */
static void remove_queues(void)
{
	for (int i = 0; i < CHANNELS; i++)
		if (channels[i].send == send_msg || channels[i].send == send_type)
			msgctl(channels[i].in, IPC_RMID, NULL);
}

static void make_channels(void)
{
	static const struct channel kinds[CHANNELS] = {
		{ .name = "pipe, write", .send = send_write, .receive = receive_read },
		{ .name = "pipe, writev", .send = send_writev, .receive = receive_readv },
		{ .name = "stream, send and peek", .send = send_send, .receive = receive_peeked },
		{ .name = "stream, sendmsg", .send = send_message, .receive = receive_message },
		{ .name = "datagram, sendto", .send = send_datagram, .receive = receive_datagram },
		{ .name = "packets, sendmmsg", .send = send_several, .receive = receive_several },
		{ .name = "POSIX queue", .send = send_queue, .receive = receive_queue },
		{ .name = "POSIX queue with a time", .send = send_queue_timed, .receive = receive_queue_timed },
		{ .name = "System V queue", .send = send_msg, .receive = receive_msg },
		{ .name = "System V queue's type", .send = send_type, .receive = receive_type },
		{ .name = "shared memory", .send = send_ring, .receive = receive_ring },
		{ .name = "memfd", .send = send_ring, .receive = receive_ring },
		{ .name = "System V memory", .send = send_ring, .receive = receive_ring },
	};
	memcpy(channels, kinds, sizeof kinds);
	over_pipe(&channels[0]);
	over_pipe(&channels[1]);
	channels[1].heap = malloc(sizeof(struct packed));
	over_socket(&channels[2], SOCK_STREAM);
	over_socket(&channels[3], SOCK_STREAM);
	over_socket(&channels[4], SOCK_DGRAM);
	over_socket(&channels[5], SOCK_SEQPACKET);
	over_queue(&channels[6]);
	over_queue(&channels[7]);
	over_msg(&channels[8]);
	over_msg(&channels[9]);
	atexit(remove_queues);
	over_memory(&channels[10], shared(-1, MAP_ANONYMOUS));
	int fd = memfd_create("flight", MFD_CLOEXEC), id = shmget(IPC_PRIVATE, sizeof(struct ring), 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct ring)))
		failed(&channels[11], "memfd_create");
	over_memory(&channels[11], shared(fd, 0));
	over_memory(&channels[12], shmat(id, NULL, 0));
	shmctl(id, IPC_RMID, NULL);
}

/* -- travelling -- */

static uint64_t id_of(const struct block *b) { return (uint64_t)b->number << 32 | b->size; }

static struct block *make(uint64_t *seed)
{
	size_t size = kit_log_size(seed, 32, 2048);
	struct block *b = malloc(size);
	if (!b)
		exit(2);
	b->size = (uint32_t)size;
	b->number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
	b->hash = kit_pattern(id_of(b), 0);
	kit_fill(b->words, 0, size - sizeof *b, id_of(b));
	__atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
	return b;
}

static void check(struct channel *c, const struct block *b)
{
	if (b->hash == kit_pattern(id_of(b), 0) && kit_intact(b->words, 0, b->size - sizeof *b, id_of(b)))
		return;
	char line[200];
	int n = snprintf(line, sizeof line, "flight: %s: block %p was recycled on the way: hash %llx size %u number %u\n", c->name, (const void *)b,
	                 (unsigned long long)b->hash, b->size, b->number);
	remove_queues();
	if (write(2, line, (size_t)n) < 0)
		_exit(3);
	abort();
}

/* Blocks of the travellers' sizes, so that slots that were recycled are handed out and overwritten. */
static __attribute__((noinline)) void noise(uint64_t *seed)
{
	void *volatile held[NOISE];
	for (int i = 0; i < NOISE; i++) {
		size_t size = kit_log_size(seed, 32, 2048);
		held[i] = malloc(size);
		memset(held[i], 0x77, size);
	}
	for (int i = 0; i < NOISE; i++) {
		free(held[i]);
		held[i] = NULL;
	}
}

/* true: go on. */
static __attribute__((noinline)) bool hop(struct channel *from, struct channel *to, uint64_t *seed)
{
	struct block *b = from->receive(from);
	if (!b)
		return false;
	check(from, b);
	if (kit_random(seed) % 4 == 0 || __atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (kit_random(seed) >> 61)
			free(b);
		if (__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
			__atomic_fetch_sub(&travelling, 1, __ATOMIC_RELEASE);
			return true;
		}
		b = make(seed);
	}
	__atomic_fetch_add(&hops, 1, __ATOMIC_RELAXED);
	to->send(to, &b);
	b = NULL;
	__asm__ volatile("" : : "r"(&b) : "memory");
	return true;
}

static void *travel(void *arg)
{
	size_t i = (size_t)arg % CHANNELS;
	uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 1;
	while (hop(&channels[i], &channels[(i + 1) % CHANNELS], &seed)) {
		kit_scrub();
		if (kit_random(&seed) % 4 == 0)
			noise(&seed);
		if (kit_random(&seed) % 256 == 0)
			usleep(3000); /* the channel fills up meanwhile */
	}
	return NULL;
}

static __attribute__((noinline)) void start_one(size_t i, uint64_t *seed)
{
	struct block *b = make(seed);
	channels[i].send(&channels[i], &b);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	uint64_t base = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, seed = base + 99;
	pthread_t thread[CHANNELS];
	make_channels();
	travelling = TRAVELLERS;
	for (size_t i = 0; i < TRAVELLERS; i++) /* before there are threads: a channel has one sender at a time */
		start_one(i % CHANNELS, &seed);
	kit_scrub();
	for (size_t i = 0; i < CHANNELS; i++)
		if (pthread_create(&thread[i], NULL, travel, (void *)(base * CHANNELS + i)))
			return 2;
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	while (__atomic_load_n(&travelling, __ATOMIC_ACQUIRE))
		usleep(1000);
	for (size_t i = 0; i < CHANNELS; i++) {
		struct block *none = NULL;
		channels[i].send(&channels[i], &none);
	}
	for (size_t i = 0; i < CHANNELS; i++)
		pthread_join(thread[i], NULL);
	printf("ok hops %llu blocks %llu\n", (unsigned long long)hops, (unsigned long long)blocks);
	return 0;
}
