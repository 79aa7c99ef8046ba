/* The only pointer lies in a frame of the thread's own stack, below the coroutine's stack that is an array in an outer frame: while
 * the coroutine runs, the stack pointer stands above that frame. */
#include <ucontext.h>

#include "zoo.h"

static ucontext_t outer, inner;

static void coroutine(void)
{
	zoo_collect(ZOO_SIZE);
	swapcontext(&inner, &outer);
}

static __attribute__((noinline)) int scheduler(void)
{
	void *volatile keeper = zoo_block();
	swapcontext(&outer, &inner);
	return zoo_verdict(keeper);
}

int main(void)
{
	char stack[128 << 10];
	zoo_needs_collector();
	if (getcontext(&inner))
		return 2;
	inner.uc_stack.ss_sp = stack;
	inner.uc_stack.ss_size = sizeof stack;
	makecontext(&inner, coroutine, 0);
	return scheduler();
}
