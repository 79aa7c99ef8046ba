/* The only pointer lies in a frame on a malloc'ed stack to which nothing but the stack pointer leads. */
#include <ucontext.h>

#include "zoo.h"

static ucontext_t outside, inside;
static int result = 2;

static void on_heap_stack(void)
{
	memset(&inside, 0, sizeof inside); /* it names the stack */
	void *volatile keeper = zoo_block();
	zoo_collect(ZOO_SIZE);
	result = zoo_verdict(keeper);
	setcontext(&outside);
}

static __attribute__((noinline)) void prepare(void)
{
	enum { ROOM = 256 << 10 };
	if (getcontext(&inside))
		exit(2);
	inside.uc_stack.ss_sp = malloc(ROOM);
	inside.uc_stack.ss_size = ROOM;
	inside.uc_link = NULL;
	if (!inside.uc_stack.ss_sp)
		exit(2);
	makecontext(&inside, on_heap_stack, 0);
}

int main(void)
{
	zoo_needs_collector();
	prepare();
	kit_scrub();
	if (swapcontext(&outside, &inside))
		return 2;
	return result;
}
