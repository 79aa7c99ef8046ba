/* The only pointer lies in a copied page of a privately mapped file. */
#include "zoo.h"
#include <sys/mman.h>

static void *volatile *keeper;

static __attribute__((noinline)) void place(void)
{
	char name[] = "/tmp/zooXXXXXX";
	int fd = mkstemp(name);
	if (fd < 0 || unlink(name) || ftruncate(fd, 1 << 20))
		exit(2);
	keeper = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (keeper == MAP_FAILED)
		exit(2);
	keeper[70000] = zoo_block();
}

static void *look(void)
{
	return keeper[70000];
}

int main(void) { return zoo_with_place(place, look); }
