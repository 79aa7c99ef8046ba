/* The only pointer lies in shared memory, and a forked child collects: its page tables do not show the page, which nobody there has
 * touched yet. */
#include "zoo.h"
#include <sys/mman.h>
#include <sys/wait.h>

static void *volatile *keeper;

static __attribute__((noinline)) void place(void) { keeper[7000] = zoo_block(); }

int main(void)
{
	zoo_needs_collector();
	keeper = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (keeper == MAP_FAILED)
		return 2;
	place();
	int status;
	pid_t child = fork();
	if (child < 0)
		return 2;
	if (child == 0) {
		zoo_collect(ZOO_SIZE);
		_exit(zoo_verdict(keeper[7000]));
	}
	if (waitpid(child, &status, 0) != child || status)
		return 1;
	madvise((void *)keeper, 1 << 20, MADV_DONTNEED); /* entries go, contents stay */
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(keeper[7000]);
}
