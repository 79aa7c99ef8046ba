/* The only pointers lie in a file: in a page that is mapped shared, and in one that is mapped privately and was never written to
 * there. The file is on disk where the system has one in /var/tmp. Run with roots=+file. */
#include "zoo.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { SIZE = 1 << 20, AT = 70000 };
static void *volatile *shared, *volatile *private;

static __attribute__((noinline)) void place(void)
{
	char name[] = "/var/tmp/zooXXXXXX";
	int fd = mkstemp(name);
	if (fd < 0 || unlink(name) || ftruncate(fd, SIZE))
		exit(2);
	void *p = zoo_block();
	if (pwrite(fd, &p, sizeof p, AT * sizeof p) != sizeof p)
		exit(2);
	p = NULL;
	__asm__ volatile("" : : "r"(&p) : "memory");
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		exit(2);
	shared[AT + 1] = zoo_block();
	close(fd);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(private[AT]) | zoo_verdict(shared[AT + 1]);
}
