/* The only pointer lies in the main thread's static TLS. */
#include "zoo.h"

static _Thread_local void *volatile keeper;

static __attribute__((noinline)) void place(void)
{
	keeper = zoo_block();
}

static void *look(void)
{
	return keeper;
}

int main(void) { return zoo_with_place(place, look); }
