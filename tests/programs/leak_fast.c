/*
 * leak_fast THREADS MIB: leaks MIB MiB at full speed beside 16 MiB of live data that is checked again and again.
 *
 * Each thread builds lists and trees of blocks of 16..4096 bytes, writes every byte of them and drops them. The live data are
 * patterned blocks that only a table in the data segment points to; each thread checks a share of them after every few
 * structures and replaces some (with free), and at the end all are checked once more.
 *
 * Last line: `leaked N MiB live ok peak_rss_kib N seconds S`. Exit 1: a live block was damaged. Exit 2: malloc failed.
 */
#include <pthread.h>
#include <time.h>

#include "kit.h"

enum { LIVE_BYTES = 16 << 20, SLOTS = 32768, THREADS_MAX = 64 };

struct node {
	struct node *left, *right;
};
static void *live[SLOTS]; /* the only pointers to the live data */
static uint32_t live_size[SLOTS], live_id[SLOTS];
static unsigned threads, live_count;
static uint64_t share; /* bytes that each thread leaks */
static bool out_of_memory;

static void *get(size_t size)
{
	void *p = malloc(size);
	if (!p) {
		__atomic_store_n(&out_of_memory, true, __ATOMIC_RELAXED);
		fprintf(stderr, "leak_fast: malloc(%zu) failed\n", size);
		exit(2);
	}
	return p;
}

static void check(unsigned i)
{
	if (!kit_intact(live[i], 0, live_size[i], (uint64_t)live_id[i] << 32 | i))
		kit_fail("leak_fast: live block %u at %p of %u bytes is damaged", i, live[i], live_size[i]);
}

static void renew(unsigned i)
{
	free(live[i]);
	live[i] = get(live_size[i]);
	live_id[i]++;
	kit_fill(live[i], 0, live_size[i], (uint64_t)live_id[i] << 32 | i);
}

static struct node *block(uint64_t *seed, uint64_t *bytes)
{
	size_t size = kit_log_size(seed, 16, 4096);
	struct node *n = get(size);
	memset(n, 0x5A, size);
	n->left = n->right = NULL;
	*bytes += size;
	return n;
}

static struct node *tree(uint64_t *seed, unsigned depth, uint64_t *bytes)
{
	struct node *n = block(seed, bytes);
	if (depth) {
		n->left = tree(seed, depth - 1, bytes);
		n->right = tree(seed, depth - 1, bytes);
	}
	return n;
}

static __attribute__((noinline)) uint64_t lose_structure(uint64_t *seed)
{
	uint64_t bytes = 0;
	if (kit_random(seed) >> 63) {
		tree(seed, 5, &bytes);
	} else {
		struct node *head = NULL;
		for (int i = 0; i < 60; i++) {
			struct node *n = block(seed, &bytes);
			n->left = head;
			head = n;
		}
	}
	return bytes;
}

static void *leak(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, at = me;
	uint64_t seed = 77 + me, leaked = 0;
	while (leaked < share) {
		leaked += lose_structure(&seed);
		for (int i = 0; i < 4; i++, at = at + threads < live_count ? at + threads : me) {
			check(at);
			if (i == 0)
				renew(at);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
	uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 4096;
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	uint64_t seed = 5;
	size_t total = 0;
	for (; live_count < SLOTS && total < LIVE_BYTES; live_count++) {
		live_size[live_count] = (uint32_t)kit_log_size(&seed, 16, 4096);
		total += live_size[live_count];
		renew(live_count);
	}
	share = (mib << 20) / threads;
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	pthread_t thread[THREADS_MAX];
	for (unsigned i = 0; i < threads; i++)
		if (i && pthread_create(&thread[i], NULL, leak, (void *)(uintptr_t)i))
			return 2;
	leak(NULL);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	for (unsigned i = 0; i < live_count; i++)
		check(i);
	printf("leaked %llu MiB live ok peak_rss_kib %ld seconds %.1f\n", (unsigned long long)mib, kit_status_kib("VmHWM"),
	       (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	return out_of_memory ? 2 : 0;
}
