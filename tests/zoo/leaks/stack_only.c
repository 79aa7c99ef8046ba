/* The only pointers are locals of functions that have not returned at exit: of the main thread and of a sleeping one. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static SITE void *fill(void) { return made(malloc(168)); }

static SITE void deep(void)
{
	void *volatile local = fill();
	decoy();
	kit_scrub();
	use((const void *)&local);
	exit(0);
}

static void *body(void *arg)
{
	void *volatile local = fill();
	kit_scrub();
	leak_stay();
	use((const void *)&local);
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	deep();
	return 1;
}
