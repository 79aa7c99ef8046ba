/*
 * idle_threads COUNT: each thread makes and frees blocks of many sizes, one thread at a time, then all of them wait. No more than 2 MiB are alive at
 * any moment, so no malloc need fail where that many threads have room. Prints "none failed", or how many requests did.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_barrier_t all_wait;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static unsigned failed;

static void use(size_t size)
{
	static void *blocks[8192];
	const size_t n = (1 << 18) / size;
	for (size_t i = 0; i < n; i++) {
		blocks[i] = malloc(size);
		if (blocks[i])
			memset(blocks[i], 1, size);
		failed += !blocks[i];
	}
	for (size_t i = 0; i < n; i++)
		free(blocks[i]);
}

static void *thread(void *arg)
{
	pthread_mutex_lock(&turn);
	for (size_t size = 48; size <= 20000; size += size / 3)
		use(size);
	pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&all_wait);
	return arg;
}

int main(int argc, char **argv)
{
	const unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 60;
	pthread_t threads[1000];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	pthread_barrier_init(&all_wait, NULL, count + 1);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], &small, thread, NULL))
			return 2;
	pthread_barrier_wait(&all_wait);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	if (failed)
		printf("%u requests failed\n", failed);
	else
		puts("none failed");
	return failed != 0;
}
