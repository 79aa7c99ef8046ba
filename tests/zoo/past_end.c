/* The only pointer leads to one past the end of the block, which C allows. */
#include "zoo.h"

static char *volatile keeper;

static __attribute__((noinline)) void place(void)
{
	keeper = (char *)zoo_block() + ZOO_SIZE;
}

static void *look(void)
{
	return keeper - ZOO_SIZE;
}

int main(void) { return zoo_with_place(place, look); }
