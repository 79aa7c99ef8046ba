/* The only pointer lies in initialized data. */
#include "zoo.h"

static void *volatile keeper = (void *)1;

static __attribute__((noinline)) void place(void)
{
	keeper = zoo_block();
}

static void *look(void)
{
	return keeper;
}

int main(void) { return zoo_with_place(place, look); }
