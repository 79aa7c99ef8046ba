/*
 * Threads that only allocate are cancelled asynchronously, again and again; the rest of the program goes on to allocate. libc's malloc
 * does not bear this (a thread dies with the arena's lock), so there is no plain run to compare with.
 *   cancel [rounds]
 */
#include "kit.h"

static void *endless(void *p)
{
	static __thread void *kept[64];
	int old;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (unsigned x = (unsigned)(size_t)p;;) {
		x = x * 1664525 + 1013904223;
		size_t n = (x >> 8) % (x & 1 ? 3000 : 300000);
		unsigned i = (x >> 24) % 64;
		free(kept[i]);
		kept[i] = malloc(n + 1);
		if (kept[i])
			memset(kept[i], 1, n);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100, cancelled = 0, wrong = 0;
	for (int i = 0; i < rounds; i++) {
		pthread_t t[4];
		void *result;
		for (int k = 0; k < 4; k++)
			pthread_create(&t[k], NULL, endless, (void *)(size_t)(i * 4 + k));
		usleep(300 + (useconds_t)i % 7 * 200);
		for (int k = 0; k < 4; k++)
			pthread_cancel(t[k]);
		for (int k = 0; k < 4; k++) {
			pthread_join(t[k], &result);
			cancelled += result == PTHREAD_CANCELED;
		}
		wrong += work(200);
	}
	printf("%d cancelled, %d wrong\n", cancelled, wrong);
	return cancelled != 4 * rounds || wrong;
}
