/*
 * A program at its limit of address space. Prints a line a claim: `ok` or what is wrong; times are CPU time relative to filling.
 *
 *   1. requests that fail do not each cost a collection
 *   2. what is lost then is found before malloc returns NULL
 *   3. what was freed as blocks of one size serves another
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct cell {
	struct cell *next;
	char filling[500];
};

static struct cell *volatile list;

static double cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static __attribute__((noinline)) size_t fill(void)
{
	size_t n = 0;
	for (struct cell *c; (c = malloc(sizeof *c)); n++) {
		memset(c->filling, 1, sizeof c->filling);
		c->next = list;
		list = c;
	}
	return n;
}

static __attribute__((noinline)) void wipe(void)
{
	volatile char stack[8192];
	for (size_t i = 0; i < sizeof stack; i++)
		stack[i] = 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 160 << 20, 160 << 20 };
	setrlimit(RLIMIT_AS, &limit);
	double began = cpu();
	size_t cells = fill();
	double filled = cpu();
	size_t failed = 0;
	for (int i = 0; i < 200; i++) {
		void *volatile p = malloc(8 << 20);
		failed += !p;
		free(p);
	}
	double asked = cpu();
	printf("failing: %s\n", failed == 200 && asked - filled < 2 * (filled - began) + 0.2 ? "ok" : "dear");
	if (argc > 1) {
		list = NULL;
		wipe();
		size_t again = 0;
		for (double until = cpu() + 10; again < cells / 2 && cpu() < until;)
			again += fill();
		printf("lost: %s\n", again >= cells / 2 ? "ok" : "not found");
	}
	for (struct cell *c = list, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	list = NULL;
	void *volatile large = malloc(64 << 20);
	printf("reuse: %s\n", large ? "ok" : "refused");
	free(large);
	printf("malloc_info: %d\n", malloc_info(1, stdout));
	return 0;
}
