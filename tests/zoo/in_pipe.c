/* The only pointer is in a pipe, written from the stack. */
#include "zoo.h"

static int ends[2];

static __attribute__((noinline)) void place(void)
{
	void *block = zoo_block();
	if (pipe(ends) || write(ends[1], &block, sizeof block) != (ssize_t)sizeof block)
		exit(2);
	block = NULL;
	__asm__ volatile("" : : "r"(&block) : "memory");
}

static void *look(void)
{
	void *block = NULL;
	if (read(ends[0], &block, sizeof block) != (ssize_t)sizeof block)
		exit(2);
	return block;
}

int main(void) { return zoo_with_place(place, look); }
