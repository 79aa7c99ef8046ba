/* A hidden pointer comes back: free of a block that was judged lost is evidence, not misuse, and after it nothing more is
 * recycled (law 9). */
#include "zoo.h"

static uintptr_t hidden[20], later[100];

static __attribute__((noinline)) void lose(void)
{
	for (int i = 0; i < 20; i++)
		hidden[i] = kit_hide((uintptr_t)zoo_block());
}

/* One that was judged lost for certain: a stale word may have kept another. */
static void *judged_lost(void)
{
	for (int i = 0; i < 20; i++)
		if (!kit_intact((void *)kit_hide(hidden[i]), 0, ZOO_SIZE, ZOO_ID))
			return (void *)kit_hide(hidden[i]);
	exit(2);
}

static __attribute__((noinline)) void lose_more(void)
{
	for (int i = 0; i < 100; i++)
		later[i] = kit_hide((uintptr_t)zoo_block_of(ZOO_SIZE * 2, 0));
}

int main(void)
{
	zoo_needs_collector();
	lose();
	kit_scrub();
	kit_collect(1);
	free(judged_lost());
	lose_more();
	kit_scrub();
	kit_collect(3);
	int kept = 0;
	for (int i = 0; i < 100; i++)
		kept += kit_intact((void *)kit_hide(later[i]), 0, ZOO_SIZE * 2, ZOO_ID);
	if (kept < 100)
		fprintf(stderr, "zoo: %d of 100 blocks were recycled after evidence of a hidden pointer\n", 100 - kept);
	return kept < 100;
}
