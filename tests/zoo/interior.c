/* The only pointer leads into the middle of the block. */
#include "zoo.h"

static char *volatile keeper;

static __attribute__((noinline)) void place(void)
{
	keeper = (char *)zoo_block() + ZOO_SIZE / 2 + 3;
}

static void *look(void)
{
	return keeper - ZOO_SIZE / 2 - 3;
}

int main(void) { return zoo_with_place(place, look); }
