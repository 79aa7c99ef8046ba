/* The counter-check of the zoo: a block to which nothing leads is recycled, or none of its other programs proves anything. */
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
	lose();
	zoo_collect(ZOO_SIZE);
	int kept = 0;
	for (int i = 0; i < 100; i++)
		kept += kit_intact((void *)kit_hide(hidden[i]), 0, ZOO_SIZE, ZOO_ID);
	if (kept > 5)
		fprintf(stderr, "zoo: %d of 100 lost blocks were not recycled\n", kept);
	return kept > 5;
}
