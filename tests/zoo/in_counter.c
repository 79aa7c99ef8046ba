/* The only pointer is the count of an eventfd, as any device or object without a file may keep a word, for longer than the time that
 * words in a pipe have (zoo.sh: inflight=1). */
#include "zoo.h"
#include <sys/eventfd.h>

static int counter;

static __attribute__((noinline)) void place(void)
{
	counter = eventfd(0, EFD_CLOEXEC);
	if (counter < 0 || eventfd_write(counter, (uintptr_t)zoo_block()))
		exit(2);
	usleep(1500000);
}

static void *look(void)
{
	eventfd_t word;
	if (eventfd_read(counter, &word))
		exit(2);
	return (void *)(uintptr_t)word;
}

int main(void) { return zoo_with_place(place, look); }
