/* A child of fork, and its parent, end with a page of a block that nobody may read, another over which a file is mapped, and a page of data that nobody
 * may read: what is beside them is held, and what is lost is told. */
// expect: definite 1 blocks 40 bytes decoy
// expect child: definite 1 blocks 88 bytes in_child
#include "leak.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, BLOCK = 16 * PAGE_BYTES };

HELD char *block;
HELD __attribute__((aligned(PAGE_BYTES))) char data[3 * PAGE_BYTES];

static SITE void in_child(void) { made(malloc(88)); }
static SITE void *keep(size_t size) { return made(malloc(size)); }

static SITE void protect(void)
{
	void *place = NULL;
	if (posix_memalign(&place, PAGE_BYTES, BLOCK) != 0)
		_exit(2);
	block = place;
	memset(block, 1, BLOCK);
	memset(data, 1, sizeof data);
	*(void **)block = keep(72);
	*(void **)(block + BLOCK - sizeof(void *)) = keep(72);
	*(void **)data = keep(56);
	*(void **)(data + 2 * PAGE_BYTES) = keep(56);
	int fd = open("/proc/self/exe", O_RDONLY);
	if (fd < 0 || mprotect(block + 4 * PAGE_BYTES, PAGE_BYTES, PROT_NONE) != 0 || mprotect(data + PAGE_BYTES, PAGE_BYTES, PROT_NONE) != 0
	    || mmap(block + 8 * PAGE_BYTES, PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		_exit(2);
	close(fd);
}

static SITE void child(void)
{
	protect();
	in_child();
}

int main(void)
{
	kit_scrub();
	int status = leak_fork(child);
	protect();
	decoy();
	kit_scrub();
	return status;
}
