/* Slots that a thread freed wait in its cache; their span has no block left, and yet it is the thread's (law 6). After
 * cycles, blocks of another size and then of the old one are made: no two of them may share memory. (Each old slot
 * begins where another block does, and first words stay zero: a list of slots that were given away ends there, and the harm
 * shows in a pattern before anything crashes.) */
#include "zoo.h"

enum { SLOTS = 10, OLD = 6000, OTHER = 3000, OTHERS = 200 };
static void *old[SLOTS], *others[OTHERS];

static void make(void **held, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		held[i] = malloc(size);
		if (!held[i])
			exit(2);
		kit_fill(held[i], 2, size, i * size);
	}
}

static void end(void **held, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		if (!kit_intact(held[i], 2, size, i * size))
			kit_fail("zoo: block %u of %zu bytes at %p shares its memory with another", i, size, held[i]);
		free(held[i]);
	}
}

int main(void)
{
	zoo_needs_collector();
	make(old, SLOTS, OLD);
	end(old, SLOTS, OLD);
	kit_collect(1);
	make(others, OTHERS, OTHER);
	make(old, SLOTS, OLD);
	end(others, OTHERS, OTHER);
	end(old, SLOTS, OLD);
	return 0;
}
