/* The only pointer lies on the stack of another thread, which sleeps in a system call. */
#include "zoo.h"

static void *body(void *arg)
{
	void *volatile keeper = zoo_block();
	(void)arg;
	kit_scrub();
	zoo_wait();
	zoo_result = zoo_verdict(keeper);
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
