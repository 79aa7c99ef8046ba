/* The only pointer lies in static TLS of another thread. */
#include "zoo.h"

static _Thread_local void *volatile keeper;

static void *body(void *arg)
{
	(void)arg;
	keeper = zoo_block();
	kit_scrub();
	zoo_wait();
	zoo_result = zoo_verdict(keeper);
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
