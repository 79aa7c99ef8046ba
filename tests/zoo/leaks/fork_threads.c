/* fork in a program with threads: in the child the others are gone, but the C library keeps their stacks for its next threads: held. */
// expect: none
// expect child: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static uint32_t there; /* atomic */

static SITE void *on_its_stack(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	void *volatile local = on_its_stack();
	kit_scrub();
	__atomic_add_fetch(&there, 1, __ATOMIC_RELEASE);
	leak_stay();
	use((const void *)&local);
	return arg;
}

int main(void)
{
	pthread_t t;
	for (int i = 0; i < 3; i++)
		if (pthread_create(&t, NULL, body, NULL))
			return 2;
	while (__atomic_load_n(&there, __ATOMIC_ACQUIRE) != 3)
		usleep(1000);
	int status = leak_fork(decoy);
	kit_scrub();
	return status;
}
