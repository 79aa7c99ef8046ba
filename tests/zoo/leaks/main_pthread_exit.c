/* The main thread ends by pthread_exit; the last thread's return ends the process. */
// expect: definite 1 blocks 72 bytes loses
// expect: definite 1 blocks 72 bytes keeps
#include "leak.h"
#include <pthread.h>

static SITE void loses(void) { made(malloc(72)); }
static SITE void *keeps(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	void *volatile local = keeps();
	usleep(100000);
	loses();
	use((const void *)&local);
	local = NULL;
	free(arg);
	kit_scrub();
	return NULL;
}

HELD void *held;

int main(void)
{
	pthread_t t;
	held = keeps();
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	kit_scrub();
	pthread_exit(NULL);
}
