/*
 * altstacks: alternate signal stacks that are not one thread's own, or whose memory went away while they are installed. No handler of the
 * program runs on them, so plain nothing happens; a stop that put its frames there would change a thread's registers, or a block's bytes.
 *
 * For each kind THREADS threads install a stack, compute or sleep by turns with a pattern in registers and on their own stack, and check it and
 * the memory that took the old stack's place, while the main thread collects. One line a kind: `KIND bad N`. Exit 1: something changed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit.h"

enum { THREADS = 6, CYCLES = 40, WORDS = 24, COPIES = 64 };

static const struct kind {
	const char *name;
	size_t size;
	enum { OWN, SHARED, BY_NUMBER, HALF, UNMAPPED, MAPPED_OVER, MOVED, RESIZED, FREED, REUSED, DISABLED, IN_STACK, OTHER_UNMAPS, OTHER_FREES } how;
} kinds[] = {
	{ "own", 65536, OWN }, { "shared", 65536, SHARED }, { "shared_small", 8192, SHARED }, { "half", 65536, HALF }, { "unmapped", 65536, UNMAPPED },
	{ "freed_large", 300000, FREED }, { "freed", 16384, FREED }, { "reused_large", 300000, REUSED }, { "reused", 65536, REUSED },
	{ "reused_16k", 16384, REUSED }, { "reused_8k", 8192, REUSED }, { "disabled", 65536, DISABLED }, { "in_stack", 32768, IN_STACK },
	{ "by_number", 65536, BY_NUMBER }, { "mapped_over", 65536, MAPPED_OVER }, { "moved", 65536, MOVED }, { "resized", 300000, RESIZED },
	{ "other_unmaps", 65536, OTHER_UNMAPS }, { "other_frees_16k", 16384, OTHER_FREES }, { "other_frees_large", 300000, OTHER_FREES },
};

static const struct kind *kind;
static char *common;
static char *places[THREADS + 1], *taken[COPIES]; /* where each thread has its stack; what the main thread put in these places */
static pthread_barrier_t given, begun;
static uint32_t over; /* atomic */
static long bad;      /* atomic */

static void *map(size_t size) { return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/* Where this thread's stack is to lie. */
static char *place(long i, char *on_stack)
{
	switch (kind->how) {
	case SHARED:
	case BY_NUMBER: return common;
	case HALF: return common + (size_t)(i % 4) * 16384;
	case FREED:
	case REUSED:
	case RESIZED:
	case OTHER_FREES: return malloc(kind->size);
	case IN_STACK: return on_stack;
	default: return map(kind->size);
	}
}

/* The thread's own stack becomes data. Result: where they are. */
static char *replace(char *stack, size_t size)
{
	if (kind->how == MAPPED_OVER)
		return mmap(stack, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (kind->how == MOVED)
		return mremap(stack, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, map(size));
	return kind->how == RESIZED ? realloc(stack, 16 * size) : NULL;
}

/* The main thread takes every stack away, and its memory. */
static void take_places(void)
{
	const bool frees = kind->how == OTHER_FREES;
	if (!frees && kind->how != OTHER_UNMAPS)
		return;
	for (int i = 1; i <= THREADS; i++)
		if (frees)
			free(places[i]);
		else
			munmap(places[i], kind->size);
	for (unsigned i = 0; i < COPIES; i++)
		kit_fill(taken[i] = frees ? malloc(kind->size) : map(kind->size), 0, kind->size, i);
}

static void check_taken(void)
{
	for (unsigned i = 0; i < COPIES && taken[i]; i++) {
		bad += !kit_intact(taken[i], 0, kind->size, i);
		if (kind->how == OTHER_FREES)
			free(taken[i]);
		else
			munmap(taken[i], kind->size);
		taken[i] = NULL;
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
	const bool by_number = kind->how == BY_NUMBER;
	if (!alternate.ss_sp || (by_number ? syscall(SYS_sigaltstack, &alternate, NULL) : sigaltstack(&alternate, NULL)) || sigaltstack(NULL, &now))
		exit(2);
	places[me] = alternate.ss_sp;
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
	char *data = replace(alternate.ss_sp, kind->size);
	if (data)
		kit_fill(data, 0, kind->size, (uint64_t)me);
	pthread_barrier_wait(&given);
	pthread_barrier_wait(&begun);
	for (uint64_t n = 0; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); n++)
		if (!same_words((uint64_t)me << 32 | n, n & 1) || me != (long)number)
			__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
	if (data && !kit_intact(data, 0, kind->size, (uint64_t)me))
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
		pthread_barrier_init(&given, NULL, THREADS + 1);
		pthread_barrier_init(&begun, NULL, THREADS + 1);
		for (long i = 0; i < THREADS; i++)
			if (pthread_create(&t[i], NULL, run, (void *)(i + 1)))
				return 2;
		pthread_barrier_wait(&given);
		take_places();
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
		check_taken();
		printf("%s bad %ld\n", kind->name, bad);
		fflush(stdout);
		all += bad;
	}
	return all != 0;
}
