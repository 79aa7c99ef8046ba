/*
 * stress_mt SECONDS [THREADS [SEED]]: everything at once, and every block checks itself.
 *
 * Threads malloc, calloc, realloc and free blocks of 16 bytes to 200 KiB, pass them to each other through queues, are born and
 * die, and fork now and then (the child works on for a moment and checks what it inherited). Each block begins with a
 * header that tells its size and number; the rest is a pattern, so a block that was recycled, given away twice or
 * moved wrongly is seen at the next check, and the program aborts. Blocks are also lost on purpose, one in eight.
 *
 * The live blocks hang in places that a collector must know: each thread keeps its set in one of
 *   stack        an array in its own frame        mapping      an anonymous private mapping
 *   tls          a thread-local array             shared       a MAP_SHARED memfd
 *   coroutine    the frame of a parked coroutine on a malloc'ed stack
 *   epoll        data words of an epoll set, nowhere else
 *   chain        a list within the heap whose head is in a register-heavy loop
 *
 * Last line: `ok operations N threads N forks N`.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "kit.h"

enum { SET = 96, QUEUE = 64, THREADS_MAX = 64, EPOLL_SET = 12 };

struct block {
	uint64_t hash; /* of number and size: a header that was overwritten is never believed */
	uint32_t size, number;
	struct block *next;
	uint64_t words[];
};

struct queue {
	pthread_mutex_t lock;
	struct block *slot[QUEUE];
	unsigned n;
};
static struct queue queues[4] = { { .lock = PTHREAD_MUTEX_INITIALIZER }, { .lock = PTHREAD_MUTEX_INITIALIZER },
	                          { .lock = PTHREAD_MUTEX_INITIALIZER }, { .lock = PTHREAD_MUTEX_INITIALIZER } };
static uint64_t operations, forks, births; /* atomic */
static uint32_t numbers;                   /* atomic */
static struct timespec end;
static _Thread_local uint64_t seed;

static uint64_t draw(uint64_t below) { return (kit_random(&seed) >> 20) % below; }

static bool time_is_up(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

/* -- blocks -- */

static uint64_t hash_of(uint32_t number, uint32_t size) { return kit_pattern((uint64_t)number << 32 | size, 0); }

static __attribute__((noinline, noreturn)) void broken(const struct block *b, const char *where)
{
	char line[200];
	int n = snprintf(line, sizeof line, "stress_mt: block %p (%s) is damaged: hash %llx size %u number %u\n", (const void *)b,
	                 where, (unsigned long long)b->hash, b->size, b->number);
	if (write(2, line, (size_t)n) < 0)
		_exit(3);
	abort();
}

static void check(const struct block *b, const char *where)
{
	if (b->hash != hash_of(b->number, b->size) ||
	    !kit_intact(b->words, 0, b->size - sizeof *b, (uint64_t)b->number << 32 | b->size))
		broken(b, where);
}

static void dress(struct block *b, size_t size)
{
	b->size = (uint32_t)size;
	b->number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
	b->hash = hash_of(b->number, b->size);
	b->next = NULL;
	kit_fill(b->words, 0, size - sizeof *b, (uint64_t)b->number << 32 | b->size);
}

static size_t some_size(void)
{
	uint64_t kind = draw(200);
	return kind == 0 ? kit_log_size(&seed, 8192, 256 << 10) : kind < 20 ? kit_log_size(&seed, 1024, 8192) : kit_log_size(&seed, 32, 1024);
}

static struct block *make(void)
{
	size_t size = some_size();
	struct block *b;
	switch (draw(4)) {
	case 0:
		b = calloc(1, size);
		for (size_t i = 0; b && i < size / 8; i++)
			if (((uint64_t *)b)[i]) {
				fprintf(stderr, "stress_mt: calloc(%zu) gave %p with word %zu not zero\n", size, (void *)b, i);
				abort();
			}
		break;
	case 1:
		b = draw(8) ? malloc(size) : aligned_alloc(64, (size + 63) & ~(size_t)63);
		break;
	default:
		b = malloc(size);
	}
	if (!b) {
		fprintf(stderr, "stress_mt: no memory\n");
		exit(2);
	}
	dress(b, size);
	return b;
}

static struct block *resize(struct block *b)
{
	check(b, "before realloc");
	size_t old = b->size, size = draw(3) ? some_size() : old + 16 + (old / 8 & ~(size_t)7);
	uint64_t id = (uint64_t)b->number << 32 | b->size;
	b = realloc(b, size);
	if (!b)
		exit(2);
	if (!kit_intact(b->words, 0, (old < size ? old : size) - sizeof *b, id))
		broken(b, "after realloc");
	dress(b, size);
	return b;
}

static void drop(struct block *b)
{
	check(b, "before free");
	if (draw(8)) /* the others are lost */
		free(b);
}

/* -- the queues between threads -- */

static struct block *trade(struct block *b)
{
	struct queue *q = &queues[draw(4)];
	pthread_mutex_lock(&q->lock);
	if (q->n == QUEUE) {
		struct block *out = q->slot[draw(QUEUE)];
		for (unsigned i = 0; i < q->n; i++)
			if (q->slot[i] == out)
				q->slot[i] = b;
		b = out;
	} else {
		q->slot[q->n++] = b;
		b = NULL;
	}
	pthread_mutex_unlock(&q->lock);
	if (b)
		check(b, "from a queue");
	return b ? b : make();
}

static void churn(struct block *volatile *set, unsigned n, unsigned steps, const char *where)
{
	for (unsigned k = 0; k < steps; k++) {
		unsigned i = (unsigned)draw(n);
		struct block *b = set[i];
		if (!b) {
			set[i] = make();
			continue;
		}
		switch (draw(6)) {
		case 0:
			set[i] = resize(b);
			break;
		case 1:
			set[i] = trade(b);
			break;
		case 2:
			check(b, where);
			break;
		default:
			set[i] = NULL;
			drop(b);
			set[i] = make();
		}
	}
	__atomic_fetch_add(&operations, steps, __ATOMIC_RELAXED);
}

static void clear(struct block *volatile *set, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (set[i]) {
			struct block *b = set[i];
			set[i] = NULL;
			check(b, "at the end");
			free(b);
		}
}

/* -- the places -- */

static void on_stack(void)
{
	struct block *volatile set[SET] = { NULL };
	for (int i = 0; i < 20; i++)
		churn(set, SET, 100, "stack");
	clear(set, SET);
}

static void in_tls(void)
{
	static _Thread_local struct block *volatile set[SET];
	for (int i = 0; i < 20; i++)
		churn(set, SET, 100, "tls");
	clear(set, SET);
}

static void in_mapping(int fd)
{
	struct block *volatile *set = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (set == MAP_FAILED)
		exit(2);
	for (int i = 0; i < 20; i++)
		churn(set + 4096, SET, 100, fd < 0 ? "mapping" : "shared");
	clear(set + 4096, SET);
	munmap((void *)set, 1 << 16);
}

static void in_shared(void)
{
	int fd = memfd_create("stress_mt", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 1 << 16))
		return;
	in_mapping(fd);
	close(fd);
}

struct coroutine {
	ucontext_t outside, inside;
};
static _Thread_local struct coroutine *current; /* read by the coroutine at its start only */

static void coroutine_body(void)
{
	struct coroutine *me = current;
	struct block *volatile set[SET / 4] = { NULL };
	for (int i = 0; i < 10; i++) {
		churn(set, SET / 4, 60, "coroutine");
		swapcontext(&me->inside, &me->outside); /* parked: its frame is a heap block that only `me` leads to */
	}
	clear(set, SET / 4);
}

static void in_coroutine(void)
{
	enum { ROOM = 64 << 10 };
	struct coroutine *me = malloc(sizeof *me);
	void *stack = malloc(ROOM);
	if (!me || !stack || getcontext(&me->inside))
		exit(2);
	me->inside.uc_stack.ss_sp = stack;
	me->inside.uc_stack.ss_size = ROOM;
	me->inside.uc_link = &me->outside;
	makecontext(&me->inside, coroutine_body, 0);
	struct block *volatile set[8] = { NULL };
	for (int i = 0; i <= 10; i++) {
		current = me;
		swapcontext(&me->outside, &me->inside);
		churn(set, 8, 20, "beside a coroutine");
	}
	clear(set, 8);
	free(stack);
	free(me);
}

static void in_epoll(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), event[EPOLL_SET];
	if (set < 0)
		return;
	for (int i = 0; i < EPOLL_SET; i++) {
		event[i] = eventfd(1, EFD_CLOEXEC);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = make() };
		if (event[i] < 0 || epoll_ctl(set, EPOLL_CTL_ADD, event[i], &e))
			exit(2);
	}
	for (int round = 0; round < 4; round++) {
		struct block *volatile beside[8] = { NULL };
		churn(beside, 8, 60, "beside epoll");
		clear(beside, 8);
	}
	/* Each wait shows one of them; the list that is shown rotates, and a deleted one is shown no more. */
	for (int i = 0; i < EPOLL_SET; i++) {
		struct epoll_event e[EPOLL_SET];
		int n = epoll_wait(set, e, EPOLL_SET, 1000);
		if (n != EPOLL_SET) {
			fprintf(stderr, "stress_mt: epoll_wait gave %d of %d: %s\n", n, EPOLL_SET, n < 0 ? strerror(errno) : "too few");
			abort();
		}
		for (int k = 0; k < n; k++)
			check(e[k].data.ptr, "epoll");
		memset(e, 0, sizeof e);
	}
	struct epoll_event e[EPOLL_SET];
	int n = epoll_wait(set, e, EPOLL_SET, 1000);
	for (int i = 0; i < EPOLL_SET; i++)
		close(event[i]);
	close(set);
	for (int k = 0; k < n; k++)
		free(e[k].data.ptr);
}

/* A chain through the heap; its head and a cursor live in registers for most of the time. */
static void in_chain(void)
{
	struct block *head = NULL;
	for (int i = 0; i < 300; i++) {
		struct block *b = make();
		b->next = head;
		head = b;
		if (i % 40 == 0)
			for (struct block *at = head; at; at = at->next)
				check(at, "chain");
	}
	while (head) {
		struct block *next = head->next;
		check(head, "chain");
		free(head);
		head = next;
	}
	__atomic_fetch_add(&operations, 600, __ATOMIC_RELAXED);
}

static void any_place(void)
{
	switch (draw(7)) {
	case 0: on_stack(); break;
	case 1: in_tls(); break;
	case 2: in_mapping(-1); break;
	case 3: in_shared(); break;
	case 4: in_coroutine(); break;
	case 5: in_epoll(); break;
	default: in_chain();
	}
}

static void *short_life(void *arg)
{
	seed = 99 + (uintptr_t)arg;
	any_place();
	return NULL;
}

/* The child owns a copy of everything that this thread can reach; other threads are gone, so the queues' locks are too. */
static void fork_once(struct block *volatile *set, unsigned n)
{
	pid_t child = fork();
	if (child == 0) {
		alarm(30);
		for (unsigned i = 0; i < n; i++)
			if (set[i])
				check(set[i], "in a forked child");
		for (int i = 0; i < 3; i++)
			in_chain();
		kit_collect(1);
		for (unsigned i = 0; i < n; i++)
			if (set[i])
				check(set[i], "in a forked child");
		_exit(0);
	}
	int status = 0;
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (child > 0 && status) {
		fprintf(stderr, "stress_mt: forked child ended with status %#x\n", status);
		abort();
	}
	__atomic_fetch_add(&forks, child > 0, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	seed = (uint64_t)(uintptr_t)arg * 7919 + 1;
	struct block *volatile mine[SET] = { NULL };
	for (unsigned turn = 0; !time_is_up(); turn++) {
		churn(mine, SET, 200, "own set");
		any_place();
		if (draw(20) == 0) {
			pthread_t t;
			if (!pthread_create(&t, NULL, short_life, (void *)(uintptr_t)turn)) {
				__atomic_fetch_add(&births, 1, __ATOMIC_RELAXED);
				pthread_join(t, NULL);
			}
		}
		if (draw(50) == 0)
			fork_once(mine, SET);
	}
	clear(mine, SET);
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 6;
	unsigned base = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	pthread_t thread[THREADS_MAX];
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)(base + i)))
			return 2;
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("ok operations %llu threads %llu forks %llu\n", (unsigned long long)operations, (unsigned long long)births + threads,
	       (unsigned long long)forks);
	return 0;
}
