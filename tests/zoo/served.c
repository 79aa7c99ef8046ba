/*
 * userfaultfd: a thread of the program serves faults on missing pages of a block and of a mapping, and on pages that only a file has. It stands still in a stop, so
 * whoever touches such a page there waits for ever. What was filled is a place like any other.
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "zoo.h"

enum { PAGE = 4096, PAGES = 64, MISSING = 1, MINOR = 4, MINOR_SHMEM = 1 << 10 };
static int faults;
static char filled[PAGE] __attribute__((aligned(4096)));
static char *volatile minor;

static void *serve(void *unused)
{
	struct uffd_msg m;
	while (read(faults, &m, sizeof m) == sizeof m) {
		const uintptr_t at = m.arg.pagefault.address & ~(uintptr_t)(PAGE - 1);
		struct uffdio_continue show = { .range = { at, PAGE } };
		struct uffdio_copy copy = { .dst = at, .src = (uintptr_t)filled, .len = PAGE };
		if (ioctl(faults, minor && at - (uintptr_t)minor < PAGES * PAGE ? UFFDIO_CONTINUE : UFFDIO_COPY,
		          minor && at - (uintptr_t)minor < PAGES * PAGE ? (void *)&show : (void *)&copy) != 0)
			exit(2);
	}
	return unused;
}

static void watch(char *at, unsigned mode)
{
	struct uffdio_register ask = { .range = { (uintptr_t)at, PAGES * PAGE }, .mode = mode };
	if (ioctl(faults, UFFDIO_REGISTER, &ask) != 0)
		exit(ZOO_NO_PLACE);
}

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = MINOR_SHMEM };
	pthread_t t;
	zoo_needs_collector();
	faults = (int)syscall(SYS_userfaultfd, 0x80000 /* O_CLOEXEC */);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0)
		return ZOO_NO_PLACE;
	if (pthread_create(&t, NULL, serve, NULL))
		return 2;
	char *block = aligned_alloc(PAGE, PAGES * PAGE), *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(block, PAGES * PAGE, MADV_DONTNEED);
	watch(block, MISSING);
	watch(map, MISSING);
	*(void **)(block + 5 * PAGE) = zoo_block();
	*(void **)(map + 7 * PAGE) = zoo_block();
	zoo_collect(ZOO_SIZE);
	int result = zoo_verdict(*(void **)(block + 5 * PAGE)) | zoo_verdict(*(void **)(map + 7 * PAGE));
	/* What only the file has can't be read, so nothing may be judged. */
	int fd = memfd_create("zoo", 0);
	if (fd < 0 || ftruncate(fd, PAGES * PAGE) != 0)
		return 2;
	char *written = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	minor = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	watch(minor, MINOR);
	*(void **)(written + 9 * PAGE) = zoo_block();
	munmap(written, PAGES * PAGE);
	zoo_collect(ZOO_SIZE);
	return result | zoo_verdict(*(void **)(minor + 9 * PAGE));
}
