/*
 * altstacks: alternate signal stacks that are not one thread's own, or whose memory went away while they are installed. No handler of the
 * program runs on them, so plain nothing happens; a stop that put its frames there would change a thread's registers, or a block's bytes.
 *
 * For each kind THREADS threads install a stack, compute or sleep by turns with a pattern in registers and on their own stack, and check it and
 * the memory that took the old stack's place, while the main thread collects. One line a kind: `KIND bad N`. Exit 1: something changed.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "kit.h"

enum { THREADS = 6, CYCLES = 40, WORDS = 24, COPIES = 64 };

static const struct kind {
	const char *name;
	size_t size;
	enum { OWN, SHARED, HALF, UNMAPPED, FREED, REUSED, DISABLED, IN_STACK } how;
} kinds[] = {
	{ "own", 65536, OWN }, { "shared", 65536, SHARED }, { "shared_small", 8192, SHARED }, { "half", 65536, HALF }, { "unmapped", 65536, UNMAPPED },
	{ "freed_large", 300000, FREED }, { "freed", 16384, FREED }, { "reused_large", 300000, REUSED }, { "reused", 65536, REUSED },
	{ "reused_16k", 16384, REUSED }, { "reused_8k", 8192, REUSED }, { "disabled", 65536, DISABLED }, { "in_stack", 32768, IN_STACK },
};

static const struct kind *kind;
static char *common;
static pthread_barrier_t begun;
static uint32_t over; /* atomic */
static long bad;      /* atomic */

static void *map(size_t size) { return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/* Where this thread's stack is to lie. */
static char *place(long i, char *on_stack)
{
	switch (kind->how) {
	case SHARED: return common;
	case HALF: return common + (size_t)(i % 4) * 16384;
	case FREED:
	case REUSED: return malloc(kind->size);
	case IN_STACK: return on_stack;
	default: return map(kind->size);
	}
}

/* Different words in each thread: a thread that goes on with another's registers or stack shows. */
static bool same_words(uint64_t seed, bool sleeps)
{
	volatile uint64_t words[WORDS];
	for (unsigned i = 0; i < WORDS; i++)
		words[i] = kit_pattern(seed, i);
	if (sleeps)
		usleep(300);
	else
		for (volatile int n = 0; n < 20000; n++)
			;
	for (unsigned i = 0; i < WORDS; i++)
		if (words[i] != kit_pattern(seed, i))
			return false;
	return true;
}

static void *run(void *number)
{
	char on_stack[32768], *reused[COPIES] = { NULL };
	const long me = (long)number;
	stack_t alternate = { .ss_sp = place(me, on_stack), .ss_size = kind->size }, now;
	if (!alternate.ss_sp || sigaltstack(&alternate, NULL) || sigaltstack(NULL, &now))
		exit(2);
	if (now.ss_sp != alternate.ss_sp || now.ss_size != alternate.ss_size)
		__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
	if (kind->how == UNMAPPED)
		munmap(alternate.ss_sp, kind->size);
	if (kind->how == FREED || kind->how == REUSED)
		free(alternate.ss_sp);
	for (int i = 0; i < COPIES && kind->how == REUSED; i++)
		kit_fill(reused[i] = malloc(kind->size), 0, kind->size, (uint64_t)me);
	if (kind->how == DISABLED)
		sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
	pthread_barrier_wait(&begun);
	for (uint64_t n = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); n++)
		if (!same_words((uint64_t)me << 32 | n, n & 1) || me != (long)number)
			__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < COPIES && kind->how == REUSED; i++) {
		if (!kit_intact(reused[i], 0, kind->size, (uint64_t)me))
			__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
		free(reused[i]);
	}
	return number;
}

int main(void)
{
	long all = 0;
	common = map(4 * 65536);
	for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		pthread_t t[THREADS];
		kind = &kinds[k];
		bad = 0;
		__atomic_store_n(&over, 0, __ATOMIC_RELEASE);
		pthread_barrier_init(&begun, NULL, THREADS + 1);
		for (long i = 0; i < THREADS; i++)
			if (pthread_create(&t[i], NULL, run, (void *)(i + 1)))
				return 2;
		pthread_barrier_wait(&begun);
		for (int i = 0; i < CYCLES; i++) {
			kit_collect(1);
			usleep(200);
		}
		__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
		for (long i = 0; i < THREADS; i++) {
			void *result;
			pthread_join(t[i], &result);
			bad += result != (void *)(i + 1);
		}
		printf("%s bad %ld\n", kind->name, bad);
		fflush(stdout);
		all += bad;
	}
	return all != 0;
}
