/*
 * stale SEED CASES [told]: stores to blocks that were freed. Each case is a child: it frees blocks, writes to one of them, a part of its first or its second word or
 * all of it, at a random moment (just freed, far down a list, ready to be handed out again, back in its span, freed by another thread), and goes on to
 * use the heap. It may end as it would without the store, or by the line that tells of it and SIGABRT: never by a fault.
 *
 * Prints how many cases went on and how many were told. Exit 1: a fault. told: only cases that must be told, of the second word of one block in a row.
 */
#include "kit.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { MANY = 3000, SOME = 40 };
enum moment { JUST_FREED, IN_A_ROW, SHUFFLED, AT_HAND, IN_SPAN, REMOTE, MOMENTS };
static const char *const moments[] = { "just freed", "in a row", "shuffled", "at hand", "back in its span", "freed by another thread" };
enum after { TAKE, FREE_MORE, TRIM, COUNT, FORK, THREAD, ZEROED, AFTERS };
static const char *const afters[] = { "malloc", "free", "malloc_trim", "mallinfo2", "fork", "another thread", "calloc" };

static uint64_t seed;
static void *blocks[MANY];

static void *free_all(void *p)
{
	for (void **at = p; *at; at++)
		free(*at);
	return NULL;
}

static void elsewhere(void **list)
{
	pthread_t t;
	if (pthread_create(&t, NULL, free_all, list) == 0)
		pthread_join(t, NULL);
}

static char *victim(enum moment moment, size_t size)
{
	unsigned n = moment == JUST_FREED ? 1 : moment == IN_SPAN ? MANY - 1 : SOME;
	while (n > 1 && n * size > 64u << 20)
		n /= 2;
	for (unsigned i = 0; i < n; i++)
		if (!(blocks[i] = malloc(size)))
			exit(2);
	blocks[n] = NULL;
	char *p = blocks[n / 2];
	for (unsigned i = n - 1; moment == SHUFFLED && i > 0; i--) {
		unsigned k = (unsigned)(kit_random(&seed) % (i + 1));
		void *other = blocks[i];
		blocks[i] = blocks[k];
		blocks[k] = other;
	}
	if (moment == REMOTE)
		elsewhere(blocks);
	else
		free_all(blocks);
	for (int i = 0; moment == AT_HAND && i < 2; i++) { /* the first of a batch */
		void *first = malloc(size);
		if (first == p)
			p = blocks[n / 2 + 1] && n / 2 + 1 < n ? blocks[n / 2 + 1] : p;
	}
	return p; /* NOLINT(clang-analyzer-unix.Malloc): the point of it */
}

static uint64_t value(void)
{
	static int global;
	static char *live;
	if (!live)
		live = malloc(100);
	switch (kit_random(&seed) % 10) {
	case 0: return 0;
	case 1: return kit_random(&seed) % 300;
	case 2: return (uintptr_t)&global;
	case 3: return (uintptr_t)&live + kit_random(&seed) % 4096;
	case 4: return (uintptr_t)live;
	case 5: return 0x4141414141414141;
	case 6: return UINT64_MAX;
	case 7: return (uintptr_t)live + (kit_random(&seed) % (1 << 16)) * 16;
	case 8: return (uintptr_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	default: return kit_random(&seed);
	}
}

static void use(enum after after, size_t size)
{
	unsigned n = size * 400 > 64u << 20 ? 20 : 400;
	void *one[2] = { malloc(size), NULL };
	switch (after) {
	case FREE_MORE:
		for (unsigned i = 0; i < n && (blocks[i] = malloc(size + 1)); i++)
			blocks[i + 1] = NULL;
		free_all(blocks);
		break;
	case TRIM:
		malloc_trim(0);
		break;
	case COUNT:
		(void)!mallinfo2().uordblks;
		break;
	case FORK:
		if (fork() == 0)
			_exit(0);
		break;
	case THREAD:
		elsewhere(one);
		break;
	case ZEROED:
		for (unsigned i = 0; i < n; i++) {
			char *p = calloc(1, size | 1);
			for (size_t k = 0; p && k < size; k++)
				if (p[k])
					kit_fail("calloc gives what is not zero");
		}
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < n; i++) {
		char *p = malloc(size);
		if (p)
			memset(p, 1, size);
	}
	kit_collect(1);
}

static void one_case(enum moment moment, enum after after, size_t size, unsigned offset, unsigned width)
{
	uint64_t v = value();
	volatile char *p = victim(moment, size);
	__asm__ volatile("" : "+r"(p)); /* that it is free is the point */
	for (unsigned i = 0; i < width; i++)
		p[offset + i] = (char)(v >> 8 * i);
	use(after, size);
	_exit(0);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 16, 24, 40, 64, 100, 200, 500, 1000, 2000, 4000, 5000, 9000, 20000, 40000 };
	static const unsigned widths[] = { 1, 2, 4, 8, 8, 8, 16 };
	unsigned cases = argc > 2 ? (unsigned)atoi(argv[2]) : 300, told = 0, on = 0;
	seed = 0x9E3779B97F4A7C15ull * (argc > 1 ? strtoull(argv[1], NULL, 0) + 1 : 1);
	kit_collect(1);
	for (unsigned i = 0; i < cases; i++) {
		enum moment moment = kit_random(&seed) % MOMENTS;
		enum after after = kit_random(&seed) % AFTERS;
		size_t size = sizes[kit_random(&seed) % (sizeof sizes / sizeof *sizes)];
		unsigned width = widths[kit_random(&seed) % (sizeof widths / sizeof *widths)], offset = width == 16 ? 0 : (unsigned)(kit_random(&seed) % (16 / width)) * width;
		uint64_t next = kit_random(&seed);
		if (argc > 3)
			moment = IN_A_ROW, after = TAKE, size = 200, width = offset = 8;
		int status;
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			seed = next | 1;
			one_case(moment, after, size, offset, width);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		seed = next | 1;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			told++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			on++;
		else
			kit_fail("lost: status 0x%x: %u bytes at %u of a block of %zu, %s, then %s", (unsigned)status, width, offset, size, moments[moment], afters[after]);
	}
	printf("%u cases: %u told, %u went on\n", cases, told, on);
	return argc > 3 && told < cases;
}
