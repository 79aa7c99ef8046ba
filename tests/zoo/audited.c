/* mode=audit judges and never recycles: what nothing points to stays whole, however many cycles found it lost. */
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
	if (kept < 100)
		fprintf(stderr, "zoo: %d of 100 blocks were recycled in mode=audit\n", 100 - kept);
	return kept < 100;
}
