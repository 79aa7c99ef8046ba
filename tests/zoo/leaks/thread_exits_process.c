/* A thread calls exit while the main one waits for it; each holds a block in its frame. */
// expect: definite 1 blocks 72 bytes loses
// status: 7
#include "leak.h"
#include <pthread.h>

static SITE void loses(void) { made(malloc(72)); }
static SITE void *keeps(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	void *volatile local = keeps();
	loses();
	kit_scrub();
	use((const void *)&local);
	exit(7);
	return arg;
}

static SITE void wait_for(pthread_t t)
{
	void *volatile local = keeps();
	pthread_join(t, NULL);
	use((const void *)&local);
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	wait_for(t);
	return 1;
}
