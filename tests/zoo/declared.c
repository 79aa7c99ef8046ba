/* The only pointer lies in a page of a mapped file that nobody wrote to there: no root, but for cgc_add_root. */
#include "zoo.h"
#include <sys/mman.h>

enum { AT = 100 };
static void *volatile *mapped;

static __attribute__((noinline)) void place(void)
{
	char name[] = "/var/tmp/zooXXXXXX";
	void (*add_root)(const void *low, size_t size);
	*(void **)&add_root = dlsym(RTLD_DEFAULT, "cgc_add_root");
	int fd = mkstemp(name);
	if (!add_root || fd < 0 || unlink(name) || ftruncate(fd, 4096))
		exit(2);
	void *p = zoo_block();
	if (pwrite(fd, &p, sizeof p, AT * sizeof p) != sizeof p)
		exit(2);
	p = NULL;
	__asm__ volatile("" : : "r"(&p) : "memory");
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		exit(2);
	close(fd);
	add_root((const void *)mapped, 4096);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(mapped[AT]);
}
