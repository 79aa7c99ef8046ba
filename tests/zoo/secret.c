/* memfd_secret: memory that the kernel itself keeps out of, here also while the program may not read it. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "zoo.h"

enum { PAGE = 4096, SECRET_CALL = 447 };
static void **pages;

static void place(void)
{
	int fd = (int)syscall(SECRET_CALL, 0);
	if (fd < 0 || ftruncate(fd, 2 * PAGE) != 0 || (pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
		exit(ZOO_NO_PLACE);
	pages[3] = zoo_block();
	pages[PAGE / 8 + 3] = zoo_block();
	mprotect(pages + PAGE / 8, PAGE, PROT_NONE);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	mprotect(pages + PAGE / 8, PAGE, PROT_READ);
	return zoo_verdict(pages[3]) | zoo_verdict(pages[PAGE / 8 + 3]);
}
