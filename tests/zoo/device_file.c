/* A regular file below /dev: its pages are the program's memory, mapped privately or not. What a path says of a file is no evidence. */
#include <fcntl.h>
#include <sys/mman.h>

#include "zoo.h"

enum { PAGE = 4096 };
static void **own, **shared;

static void place(void)
{
	char name[] = "/dev/cgc-zoo.XXXXXX";
	int fd = mkstemp(name);
	if (fd < 0 || ftruncate(fd, 2 * PAGE) != 0)
		exit(ZOO_NO_PLACE);
	own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (own == MAP_FAILED || shared == MAP_FAILED)
		exit(2);
	own[600] = zoo_block();
	shared[60] = zoo_block();
	zoo_collect(ZOO_SIZE); /* while it has its name */
	unlink(name);
	own[700] = shared[60];
	shared[60] = NULL;
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(own[600]) | zoo_verdict(own[700]);
}
