/* The same in a library that is opened at run time, whose variables are initial-exec: in the main thread and in another one. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static void (*hold)(void *);

static SITE void fill(void) { hold(made(malloc(136))); }

static void *body(void *arg)
{
	fill();
	kit_scrub();
	leak_stay();
	return arg;
}

int main(void)
{
	pthread_t t;
	*(void **)&hold = dlsym(leak_open("libleak_plugin.so"), "hold_initial_exec");
	if (!hold || pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	fill();
	decoy();
	kit_scrub();
	return 0;
}
