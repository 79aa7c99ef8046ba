/* The only pointer lies in a private anonymous mapping. */
#include "zoo.h"
#include <sys/mman.h>

static void *volatile *keeper;

static __attribute__((noinline)) void place(void)
{
	keeper = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (keeper == MAP_FAILED)
		exit(2);
	keeper[70000] = zoo_block();
}

static void *look(void)
{
	return keeper[70000];
}

int main(void) { return zoo_with_place(place, look); }
