/* Another process truncates a file while its written private pages are read: they are gone, and the program, which looks no longer, lives. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "zoo.h"

enum { SIZE = 64 << 20, PAGE = 4096, ROUNDS = 6, CYCLES = 12 };

int main(void)
{
	zoo_needs_collector();
	void *volatile kept = zoo_block();
	for (int round = 0; round < ROUNDS; round++) {
		char name[] = "/tmp/cgc-zoo.XXXXXX";
		int fd = mkstemp(name);
		if (fd < 0 || ftruncate(fd, SIZE) != 0)
			return ZOO_NO_PLACE;
		unlink(name);
		char *pages = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (pages == MAP_FAILED)
			return 2;
		for (size_t i = 0; i < SIZE; i += PAGE)
			pages[i] = 1;
		pid_t child = fork();
		if (!child) {
			usleep(2000 + 3000 * (unsigned)round);
			_exit(ftruncate(fd, 0) ? 2 : 0);
		}
		for (int i = 0; i < CYCLES; i++)
			kit_collect(1);
		waitpid(child, NULL, 0);
		munmap(pages, SIZE);
		close(fd);
	}
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(kept);
}
