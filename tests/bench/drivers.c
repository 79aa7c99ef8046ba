/*
 * Five ways to use malloc, each timed alone; tools/bench runs them under several allocators.
 *
 *   bench_drivers DRIVER [MILLISECONDS [LOW HIGH]]
 *
 *   pair      malloc and free at once, one size class after the other: the fast path by itself
 *   batch     256 mallocs, then 256 frees in the same order: lists that grow and shrink
 *   random    a free and a malloc at a random place of 200,000 live blocks: cache misses, refills
 *   cross     one thread allocates, another frees: remote frees
 *   threads   `pair` in two threads at once
 *
 * Sizes are LOW..HIGH bytes (16..256), from a table made before the clock starts. Prints "DRIVER ns-per-pair" for
 * one thread: CPU time, which a busy machine disturbs least; wall time in `cross`, where waiting for the other side is a
 * part of the price. Each block's first word is written, as programs do.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZES = 4096, BATCH = 256, LIVE = 200000, RING = 4096, ROUND = 4096 };

static unsigned sizes[SIZES];
static uint64_t budget_ns = 500 * 1000000ull;

static clockid_t clock_used = CLOCK_THREAD_CPUTIME_ID;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(clock_used, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *take(size_t n)
{
	uint64_t *p = malloc(n);
	if (!p)
		abort();
	*p = n;
	/* The compiler knows malloc and free and would drop the pair. */
	__asm__ volatile("" : : "r"(p) : "memory");
	return p;
}

/* Each driver does ROUND pairs a call. */
static void pair(void *unused)
{
	for (unsigned i = 0; i < ROUND; i++)
		free(take(sizes[i % SIZES]));
}

static void batch(void *unused)
{
	void *p[BATCH];
	for (unsigned i = 0; i < ROUND; i += BATCH) {
		for (unsigned j = 0; j < BATCH; j++)
			p[j] = take(sizes[(i + j) % SIZES]);
		for (unsigned j = 0; j < BATCH; j++)
			free(p[j]);
	}
}

static void random_places(void *blocks)
{
	static uint64_t seed = 88172645463325252ull;
	void **live = blocks;
	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t r = next_random(&seed);
		void **place = &live[r % LIVE];
		free(*place);
		*place = take(sizes[r >> 40 & (SIZES - 1)]);
	}
}

/* Runs `work` until the time is over; ns per pair. */
static double timed(void (*work)(void *), void *argument)
{
	for (int warm = 0; warm < 20; warm++)
		work(argument);
	uint64_t start = now(), rounds = 0, spent;
	do {
		work(argument);
		rounds++;
		spent = now() - start;
	} while (spent < budget_ns);
	return (double)spent / (double)(rounds * ROUND);
}

/* -- cross: a ring between two threads; each side waits by spinning a little, then by yielding -- */

static _Atomic(void *) ring[RING];
static atomic_bool over;

static void *consumer(void *unused)
{
	struct timespec short_time = { 0, 1000 };
	for (uint64_t at = 0, idle = 0;;) {
		void *p = atomic_exchange_explicit(&ring[at % RING], NULL, memory_order_acquire);
		if (p) {
			free(p);
			at++;
			idle = 0;
		} else if (++idle > 1000) {
			if (atomic_load(&over))
				return NULL;
			nanosleep(&short_time, NULL);
		}
	}
}

static void produce(void *place)
{
	uint64_t *at = place;
	struct timespec short_time = { 0, 1000 };
	for (unsigned i = 0; i < ROUND; i++, ++*at) {
		void *p = take(sizes[i % SIZES]);
		for (unsigned spins = 0; atomic_load_explicit(&ring[*at % RING], memory_order_relaxed);)
			if (++spins > 1000)
				nanosleep(&short_time, NULL);
		atomic_store_explicit(&ring[*at % RING], p, memory_order_release);
	}
}

static double cross(void)
{
	pthread_t other;
	uint64_t at = 0;
	clock_used = CLOCK_MONOTONIC;
	if (pthread_create(&other, NULL, consumer, NULL))
		abort();
	double ns = timed(produce, &at);
	atomic_store(&over, 1);
	pthread_join(other, NULL);
	return ns;
}

/* -- threads -- */

static void *pair_thread(void *result)
{
	*(double *)result = timed(pair, NULL);
	return NULL;
}

static double two_threads(void)
{
	pthread_t other;
	double mine, theirs;
	if (pthread_create(&other, NULL, pair_thread, &theirs))
		abort();
	mine = timed(pair, NULL);
	pthread_join(other, NULL);
	return (mine + theirs) / 2;
}

static double random_driver(void)
{
	void **live = calloc(LIVE, sizeof(*live));
	if (!live)
		abort();
	for (unsigned i = 0; i < LIVE; i++)
		live[i] = take(sizes[i % SIZES]);
	double ns = timed(random_places, live);
	for (unsigned i = 0; i < LIVE; i++)
		free(live[i]);
	free((void *)live);
	return ns;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	if (argc > 2)
		budget_ns = strtoull(argv[2], NULL, 10) * 1000000;
	unsigned low = argc > 4 ? (unsigned)atoi(argv[3]) : 16, high = argc > 4 ? (unsigned)atoi(argv[4]) : 256;
	uint64_t seed = 2463534242u;
	for (unsigned i = 0; i < SIZES; i++)
		sizes[i] = low + (unsigned)(next_random(&seed) % (high - low + 1));
	double ns;
	if (!strcmp(name, "pair"))
		ns = timed(pair, NULL);
	else if (!strcmp(name, "batch"))
		ns = timed(batch, NULL);
	else if (!strcmp(name, "random"))
		ns = random_driver();
	else if (!strcmp(name, "cross"))
		ns = cross();
	else if (!strcmp(name, "threads"))
		ns = two_threads();
	else {
		fprintf(stderr, "usage: bench_drivers pair|batch|random|cross|threads [MILLISECONDS [LOW HIGH]]\n");
		return 2;
	}
	printf("%s %.2f\n", name, ns);
	return 0;
}
