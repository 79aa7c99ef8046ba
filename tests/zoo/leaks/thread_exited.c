/* Blocks that only the stack of a thread held: lost when it has ended, joined or detached, whoever gets its stack next. */
// expect: definite 8 blocks 576 bytes by_thread
#include "leak.h"
#include <pthread.h>

static SITE void *by_thread(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	void *volatile local = by_thread();
	use((const void *)&local);
	local = NULL;
	kit_scrub();
	__atomic_add_fetch(&leak_ready, 1, __ATOMIC_RELEASE);
	return arg;
}

int main(void)
{
	pthread_t t;
	pthread_attr_t detached;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t, NULL, body, NULL) || pthread_join(t, NULL) || pthread_create(&t, &detached, body, NULL))
			return 2;
	while (__atomic_load_n(&leak_ready, __ATOMIC_ACQUIRE) != 8)
		usleep(1000);
	usleep(50000); /* they are gone, or in a state that holds nothing */
	kit_scrub();
	return 0;
}
