/* Blocks freed by another thread than the one that made them, while it runs and after it ended, are no leaks. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

enum { BLOCKS = 3000 };
static void *blocks[BLOCKS];

static SITE void *own(void) { return made(malloc(112)); }

static SITE void make_all(void)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = own();
}

static SITE void free_half(void)
{
	for (int i = 0; i < BLOCKS; i += 2) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

/* Dead words of stacks that wait for the next thread count, and whatever takes the place of a freed block is held by them. */
static void *makes(void *arg)
{
	make_all();
	kit_scrub();
	return arg;
}

static void *frees(void *arg)
{
	free_half();
	kit_scrub();
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, makes, NULL) || pthread_join(t, NULL) || pthread_create(&t, NULL, frees, NULL) || pthread_join(t, NULL))
		return 2;
	for (int i = 1; i < BLOCKS; i += 2) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	decoy();
	kit_scrub();
	return 0;
}
