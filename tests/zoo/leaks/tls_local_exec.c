/* Thread-local variables of the program, in the main thread and in one that runs at exit. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

HELD __thread __attribute__((tls_model("local-exec"))) void *held;

static SITE void fill(void) { held = made(malloc(120)); }

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
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	fill();
	decoy();
	kit_scrub();
	return 0;
}
