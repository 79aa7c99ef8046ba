/* What the programs of one TLS model each share: HOLD is the plugin's function that keeps a block in a variable of that model. */
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
	*(void **)&hold = dlsym(leak_open("libleak_plugin.so"), HOLD);
	if (!hold || pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	fill();
	decoy();
	kit_scrub();
	return 0;
}
