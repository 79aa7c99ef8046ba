/*
 * hardened SEED CASES, with harden=1: a freed block of any size is written to, at any byte, just after its free or when all of its size are free. It must
 * not be handed out with that byte in it: the program is told (SIGABRT) before. calloc gives zeros, whatever was written.
 *
 * Each case is a child. Prints how many were told, how many never got the memory again. Exit 1: a block came with the stale byte in it.
 */
#include "kit.h"
#include <signal.h>
#include <sys/wait.h>

enum { STALE = 0x5A, MOST = 3000 };
enum { BY_MALLOC, BY_CALLOC, BY_ALIGNED, BY_REALLOC, HOWS };

static uint64_t seed;

static char *take(unsigned how, size_t size)
{
	switch (how) {
	case BY_CALLOC: return calloc(1, size);
	case BY_ALIGNED: return aligned_alloc(64, (size + 63) & ~(size_t)63);
	case BY_REALLOC: return realloc(malloc(size / 2 + 1), size);
	default: return malloc(size);
	}
}

static void one_case(size_t size, unsigned how, unsigned again, bool all_free, size_t offset)
{
	static char *others[600];
	const unsigned n = all_free ? (unsigned)(size > 1 << 20 ? 3 : size > 1 << 16 ? 20 : 600) : 0;
	for (unsigned i = 0; i < n; i++)
		others[i] = memset(take(how, size), 1, size);
	volatile char *p = take(how, size);
	memset((char *)p, 1, size);
	for (unsigned i = 0; i < n; i++)
		free(others[i]);
	uintptr_t hidden = (uintptr_t)p;
	__asm__ volatile("" : "+r"(hidden)); /* that it is free is the point */
	free((char *)p);
	p = (char *)hidden;
	p[offset] = STALE;
	for (unsigned i = 0; i < (size > 1 << 20 ? 40 : size > 1 << 16 ? 200 : MOST); i++) {
		char *q = take(again, size);
		if (!q)
			_exit(2);
		const volatile char *at = p + offset;
		if ((const char *)at >= q && (const char *)at < q + size && *at == STALE)
			kit_fail("lost: a block of %zu bytes comes with a stale byte", size);
		for (size_t k = 0; again == BY_CALLOC && k < size; k += size > 1 << 20 ? 64 : 1)
			if (q[k])
				kit_fail("lost: calloc of %zu bytes is not zero at %zu", size, k);
		memset(q, 2, size);
		free(q);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	unsigned cases = argc > 2 ? (unsigned)atoi(argv[2]) : 100, told = 0, never = 0;
	seed = 0x9E3779B97F4A7C15ull * (argc > 1 ? strtoull(argv[1], NULL, 0) + 1 : 1);
	kit_collect(1);
	for (unsigned i = 0; i < cases; i++) {
		size_t size = kit_log_size(&seed, 16, kit_random(&seed) % 4 ? 1 << 19 : 1 << 23) + kit_random(&seed) % 8;
		unsigned how = kit_random(&seed) % HOWS, again = kit_random(&seed) % HOWS;
		bool all_free = kit_random(&seed) % 2;
		size_t offset = kit_random(&seed) % size;
		int status;
		fflush(stdout);
		pid_t child = fork();
		if (child == 0)
			one_case(size, how, again, all_free, offset);
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			told++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			never++;
		else
			kit_fail("lost: status 0x%x: %zu bytes by %u, then by %u, at %zu", (unsigned)status, size, how, again, offset);
	}
	printf("%u cases: %u told, %u never handed out again\n", cases, told, never);
	return told < cases / 4;
}
