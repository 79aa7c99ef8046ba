/* The only pointer is what sigaltstack told the kernel: the block is the alternate stack itself. */
#include <signal.h>

#include "zoo.h"

enum { STACK = 32 << 10 }; /* too large for the library to put one of its own in its place */

static void decoys(void)
{
	for (int i = 0; i < 4; i++) {
		void *volatile decoy = malloc(STACK);
		decoy = NULL;
		(void)decoy;
	}
}

static __attribute__((noinline)) void place(void)
{
	decoys();
	stack_t stack = { .ss_sp = zoo_block_of(STACK, 0), .ss_size = STACK };
	if (sigaltstack(&stack, NULL))
		exit(2);
	stack.ss_sp = NULL;
	__asm__ volatile("" : : "r"(&stack) : "memory");
	decoys();
}

static __attribute__((noinline)) void *look(void)
{
	stack_t stack;
	return sigaltstack(NULL, &stack) ? NULL : stack.ss_sp;
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(STACK);
	return zoo_verdict(look());
}
