/* Blocks freed by another thread than the one that made them, while it runs and after it ended, are no leaks. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

enum { BLOCKS = 3000 };
static void *blocks[BLOCKS];

static SITE void *own(void) { return made(malloc(112)); }

static void *makes(void *arg)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = own();
	return arg;
}

static void *frees(void *arg)
{
	for (int i = 0; i < BLOCKS; i += 2) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
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
