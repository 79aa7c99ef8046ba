/* The only pointer lies in zero-initialized data. */
#include "zoo.h"

static void *volatile keeper[1000];

static __attribute__((noinline)) void place(void)
{
	keeper[777] = zoo_block();
}

static void *look(void)
{
	return keeper[777];
}

int main(void) { return zoo_with_place(place, look); }
