/* The only pointer lies in a mapping that nobody may access at present. */
#include "zoo.h"
#include <sys/mman.h>

static void *volatile *keeper;

static __attribute__((noinline)) void place(void)
{
	keeper = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (keeper == MAP_FAILED)
		exit(2);
	keeper[70000] = zoo_block();
	if (mprotect((void *)keeper, 1 << 20, PROT_NONE))
		exit(2);
}

static void *look(void)
{
	if (mprotect((void *)keeper, 1 << 20, PROT_READ))
		exit(2);
	return keeper[70000];
}

int main(void) { return zoo_with_place(place, look); }
