/* What is lost in a round is recycled in that round, twenty times over: the end of one cycle leaves nothing that keeps the
 * next from working (law 10). */
#include "zoo.h"

static uintptr_t hidden[100];

static __attribute__((noinline)) void lose(void)
{
	for (int i = 0; i < 100; i++)
		hidden[i] = kit_hide((uintptr_t)zoo_block());
}

int main(void)
{
	zoo_needs_collector();
	for (int round = 0; round < 20; round++) {
		lose();
		kit_scrub();
		kit_collect(1);
		int kept = 0;
		for (int i = 0; i < 100; i++)
			kept += kit_intact((void *)kit_hide(hidden[i]), 0, ZOO_SIZE, ZOO_ID);
		if (kept > 5) {
			fprintf(stderr, "zoo: round %d: %d of 100 lost blocks were not recycled\n", round, kept);
			return 1;
		}
	}
	return 0;
}
