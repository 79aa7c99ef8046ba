/* Threads that run at exit: what they lost is lost, what their frames hold is not. */
// expect: definite 4 blocks 288 bytes loses
#include "leak.h"
#include <pthread.h>

static uint32_t there; /* atomic */

static SITE void loses(void) { made(malloc(72)); }
static SITE void *keeps(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	void *volatile local = keeps();
	loses();
	kit_scrub();
	__atomic_add_fetch(&there, 1, __ATOMIC_RELEASE);
	leak_stay();
	use((const void *)&local);
	return arg;
}

int main(void)
{
	for (int i = 0; i < 4; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, body, NULL))
			return 2;
	}
	while (__atomic_load_n(&there, __ATOMIC_ACQUIRE) != 4)
		usleep(1000);
	usleep(10000);
	kit_scrub();
	return 0;
}
