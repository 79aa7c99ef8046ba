/*
 * sites=1: evidence ends recycling of its allocation site, and of no other. Blocks of a site whose pointers are hidden stay whole
 * once one of them was freed after all; those of another site, lost at the same time, are still recycled.
 */
#include "zoo.h"

enum { FIRST = 20, LATER = 100 };
static uintptr_t hidden[FIRST], later[LATER], lost[LATER];

static __attribute__((noinline)) void *hidden_site(void)
{
	void *p = malloc(ZOO_SIZE);
	if (!p)
		exit(2);
	kit_fill(p, 0, ZOO_SIZE, ZOO_ID);
	return p;
}

static __attribute__((noinline)) void *lost_site(void)
{
	void *p = malloc(ZOO_SIZE);
	if (!p)
		exit(2);
	kit_fill(p, 0, ZOO_SIZE, ZOO_ID);
	return p;
}

static __attribute__((noinline)) void fill(uintptr_t *table, int n, void *(*site)(void))
{
	for (int i = 0; i < n; i++)
		table[i] = kit_hide((uintptr_t)site());
}

static int whole(const uintptr_t *table, int n)
{
	int kept = 0;
	for (int i = 0; i < n; i++)
		kept += kit_intact((void *)kit_hide(table[i]), 0, ZOO_SIZE, ZOO_ID);
	return kept;
}

/* One that was judged lost for certain: a stale word may have kept another. */
static void *judged_lost(void)
{
	for (int i = 0; i < FIRST; i++)
		if (!kit_intact((void *)kit_hide(hidden[i]), 0, ZOO_SIZE, ZOO_ID))
			return (void *)kit_hide(hidden[i]);
	exit(2);
}

int main(void)
{
	zoo_needs_collector();
	fill(hidden, FIRST, hidden_site);
	kit_scrub();
	kit_collect(1);
	free(judged_lost());
	fill(later, LATER, hidden_site);
	fill(lost, LATER, lost_site);
	zoo_collect(ZOO_SIZE);
	int kept = whole(later, LATER), too_many = whole(lost, LATER);
	if (kept < LATER)
		fprintf(stderr, "zoo: %d of %d blocks of an immortal site were recycled\n", LATER - kept, LATER);
	if (too_many > 10)
		fprintf(stderr, "zoo: %d of %d lost blocks of another site were not recycled\n", too_many, LATER);
	return kept < LATER || too_many > 10;
}
