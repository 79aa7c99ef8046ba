/* The only pointer is the argument of a thread that is being born while cycles run, and then its result until it is joined. */
#include "zoo.h"

static void *body(void *arg) { return arg; }

static __attribute__((noinline)) pthread_t start(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, zoo_block()))
		exit(2);
	return t;
}

int main(void)
{
	zoo_needs_collector();
	for (int round = 0; round < 30; round++) {
		pthread_t t = start();
		void *p;
		kit_scrub();
		kit_collect(1);
		if (pthread_join(t, &p))
			return 2;
		if (zoo_verdict(p))
			return 1;
		free(p);
	}
	return 0;
}
