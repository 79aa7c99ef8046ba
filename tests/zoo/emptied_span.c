/* Slots that a thread freed wait in its cache; their span has no block left, and yet it is the thread's (law 6). After a
 * cycle, blocks of another size and then of the old one are made: no two of them may share memory.
 *
 * Only the second KiB to the fourth of each block is written. The sizes are such that the list of freed slots, should
 * its memory have been given away, is not overwritten at once: the harm shows in a pattern before anything crashes. */
#include "zoo.h"

enum { SLOTS = 10, AGAIN = 2, OLD = 6000, OTHER = 7000, OTHERS = 90, FROM = 1024 / 8, TO = 4096 };
static void *old[SLOTS], *others[OTHERS];

static void make(void **held, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		held[i] = malloc(size);
		if (!held[i])
			exit(2);
		kit_fill(held[i], FROM, TO, i * size);
	}
}

static void check(void **held, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++)
		if (!kit_intact(held[i], FROM, TO, i * size))
			kit_fail("zoo: block %u of %zu bytes at %p shares its memory with another", i, size, held[i]);
}

int main(void)
{
	zoo_needs_collector();
	make(old, SLOTS, OLD);
	for (unsigned i = 0; i < SLOTS; i++)
		free(old[i]);
	kit_collect(1);
	make(others, OTHERS, OTHER);
	make(old, AGAIN, OLD);
	check(others, OTHERS, OTHER);
	check(old, AGAIN, OLD);
	return 0;
}
