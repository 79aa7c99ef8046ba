/* A thread whose stack is a malloc'ed block of the program: nothing but its stack pointer leads there, and it holds a block. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

enum { STACK = 256 << 10 };

static SITE void *kept(void) { return made(malloc(72)); }
static SITE void *stack(void) { return made(aligned_alloc(4096, STACK)); }

static void *body(void *arg)
{
	void *volatile local = kept();
	kit_scrub();
	leak_stay();
	use((const void *)&local);
	return arg;
}

static SITE void start(void)
{
	pthread_attr_t a;
	pthread_t t;
	pthread_attr_init(&a);
	if (pthread_attr_setstack(&a, stack(), STACK) || pthread_create(&t, &a, body, NULL))
		_exit(2);
	pthread_attr_destroy(&a);
}

int main(void)
{
	start();
	leak_wait();
	decoy();
	kit_scrub();
	return 0;
}
