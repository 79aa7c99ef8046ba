/* The only pointer lies in a shared mapping of a memfd, as a collector of a virtual machine may have its heap. */
#include "zoo.h"
#include <sys/mman.h>

static void *volatile *keeper;

static __attribute__((noinline)) void place(void)
{
	int fd = memfd_create("zoo", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 1 << 20))
		exit(2);
	keeper = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (keeper == MAP_FAILED)
		exit(2);
	keeper[70000] = zoo_block();
}

static void *look(void)
{
	return keeper[70000];
}

int main(void) { return zoo_with_place(place, look); }
