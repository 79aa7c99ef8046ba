/* Four threads that allocate, hand over and free 400,000 blocks lose one in a thousand of their own. */
// expect: definite 400 blocks 25600 bytes loses
#include "leak.h"
#include <pthread.h>

enum { TURNS = 100000, PLACES = 256 };
static void *places[PLACES]; /* atomic */

static SITE void loses(void) { made(malloc(64)); }
static SITE void *keeps(size_t size) { return made(malloc(size)); }

static SITE void work(uint64_t seed)
{
	for (int i = 1; i <= TURNS; i++) {
		void *p = keeps(16 + kit_random(&seed) % 500);
		free(__atomic_exchange_n(&places[kit_random(&seed) % PLACES], p, __ATOMIC_ACQ_REL));
		if (i % 1000 == 0)
			loses();
	}
}

/* The stack of a thread that has ended stays mapped for the next one, and its dead words count. */
static void *body(void *arg)
{
	work((uintptr_t)arg);
	kit_scrub();
	return NULL;
}

int main(void)
{
	pthread_t t[4];
	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, body, (void *)(i + 1)))
			return 2;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	kit_scrub();
	return 0;
}
