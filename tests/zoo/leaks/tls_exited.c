/* A thread-local variable dies with its thread, and the block with it; that of a thread that runs holds. */
// expect: definite 2 blocks 240 bytes fill
#include "leak.h"
#include <pthread.h>

HELD __thread void *held;

static SITE void fill(void) { held = made(malloc(120)); }

static void *body(void *arg)
{
	fill();
	return arg;
}

static void *stays(void *arg)
{
	kit_scrub();
	leak_stay();
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL) || pthread_join(t, NULL))
		return 2;
	if (pthread_create(&t, NULL, body, NULL)) /* takes over the first one's stack */
		return 2;
	fill();
	pthread_join(t, NULL);
	if (pthread_create(&t, NULL, stays, NULL)) /* until somebody takes the stack over, the dead thread's variables stand in it */
		return 2;
	leak_wait();
	kit_scrub();
	return 0;
}
