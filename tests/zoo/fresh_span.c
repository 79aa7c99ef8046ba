/* Blocks of a span each, collected the moment they exist, each by a pointer into its middle: the page map must know every
 * page of a span before the first pointer is out (law 5). */
#include "zoo.h"

enum { BLOCKS = 20, SIZE = 200 << 10 };
static char *held[BLOCKS];

static __attribute__((noinline)) char *make(void) { return (char *)zoo_block_of(SIZE, 0) + SIZE / 2; }

int main(void)
{
	zoo_needs_collector();
	for (unsigned i = 0; i < BLOCKS; i++) {
		held[i] = make();
		kit_scrub();
		kit_collect(1);
		for (unsigned k = 0; k <= i; k++)
			if (!kit_intact(held[k] - SIZE / 2, 0, SIZE, ZOO_ID))
				kit_fail("zoo: block %u of %u around %p was recycled", k, i + 1, (void *)held[k]);
	}
	return 0;
}
