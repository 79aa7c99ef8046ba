/* The argument of a thread that keeps it in its own frame. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static SITE void *fill(void) { return made(malloc(184)); }

static void *body(void *arg)
{
	void *volatile kept = arg;
	kit_scrub();
	leak_stay();
	use((const void *)&kept);
	return NULL;
}

static SITE void start(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, fill()))
		_exit(2);
}

int main(void)
{
	start();
	leak_wait();
	decoy();
	kit_scrub();
	return 0;
}
