/* The only pointer lies in a mapping: private, shared, of a memory file, of System V, without any access. An unmapped one holds nothing. */
// expect: definite 1 blocks 96 bytes in_unmapped
#include "leak.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

static SITE void *in_private(void) { return made(malloc(96)); }
static SITE void *in_shared(void) { return made(malloc(96)); }
static SITE void *in_memfd(void) { return made(malloc(96)); }
static SITE void *in_system_v(void) { return made(malloc(96)); }
static SITE void *in_protected(void) { return made(malloc(96)); }
static SITE void *in_unmapped(void) { return made(malloc(96)); }

static SITE void **map(int flags, int fd)
{
	void **m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (m == MAP_FAILED)
		_exit(2);
	return m;
}

static SITE void fill(void)
{
	map(MAP_PRIVATE | MAP_ANONYMOUS, -1)[600] = in_private();
	map(MAP_SHARED | MAP_ANONYMOUS, -1)[5] = in_shared();
	int fd = memfd_create("zoo", 0);
	if (fd < 0 || ftruncate(fd, 8192))
		_exit(2);
	map(MAP_SHARED, fd)[7] = in_memfd();
	int id = shmget(IPC_PRIVATE, 4096, 0600);
	void **m = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
	if (m == (void *)-1)
		_exit(2);
	shmctl(id, IPC_RMID, NULL);
	m[3] = in_system_v();
	m = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	m[600] = in_protected();
	if (mprotect(m, 8192, PROT_NONE))
		_exit(2);
	m = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	m[600] = in_unmapped();
	munmap(m, 8192);
}

int main(void)
{
	fill();
	kit_scrub();
	return 0;
}
