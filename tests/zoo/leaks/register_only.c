/* The only pointer lies in a general register of a thread that runs at exit. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static SITE uintptr_t fill(void) { return kit_hide((uintptr_t)made(malloc(200))); }

static void *body(void *arg)
{
	leak_spin(fill(), &leak_ready);
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	decoy();
	kit_scrub();
	return 0;
}
