/* Slots that wait in a thread's cache are nobody's blocks and must not be recycled under it: after cycles, every block that
 * malloc gives is distinct, keeps its pattern, and calloc's are zero. */
#include "zoo.h"

enum { BLOCKS = 4000 };
static void *held[BLOCKS];

int main(void)
{
	zoo_needs_collector();
	uint64_t seed = 3;
	for (int round = 0; round < 60; round++) {
		for (int k = 0; k < 200; k++) {
			unsigned i = (unsigned)(kit_random(&seed) >> 40) % BLOCKS;
			size_t size = 16 + 16 * (i % 12);
			if (held[i]) {
				if (!kit_intact(held[i], 0, size, i))
					kit_fail("zoo: block %u at %p was given away twice or recycled", i, held[i]);
				free(held[i]);
			}
			uint64_t *p = i & 1 ? calloc(1, size) : malloc(size);
			if (!p)
				return 2;
			for (size_t w = 0; (i & 1) && w < size / 8; w++)
				if (p[w])
					kit_fail("zoo: calloc gave a block that is not zero at word %zu", w);
			kit_fill(p, 0, size, i);
			held[i] = p;
		}
		kit_collect(1);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (held[i] && !kit_intact(held[i], 0, 16 + 16 * (i % 12), i))
			kit_fail("zoo: block %u at %p was recycled", i, held[i]);
	return 0;
}
