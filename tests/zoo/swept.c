/* A thread sweeps recycled slots out of spans in which others have just freed blocks: those slots are free, on their way
 * to the owner, and no sweep may take them (law 1). No two blocks may share memory. (The first words stay zero, as malloc left them: a slot on
 * two lists then ends one of them, and is given away twice before anything crashes.) */
#include "zoo.h"

enum { BLOCKS = 640, SIZE = 1000, MORE = 480 };
static void *held[BLOCKS], *more[MORE];

static void *made(unsigned id)
{
	void *p = malloc(SIZE);
	if (!p)
		exit(2);
	kit_fill(p, 2, SIZE, id);
	return p;
}

static __attribute__((noinline)) void make_and_lose(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		held[i] = made(i);
	for (unsigned i = 0; i < BLOCKS; i += 2)
		held[i] = NULL;
}

static void *free_remotely(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i < BLOCKS; i += 4) {
		free(held[i]);
		held[i] = NULL;
	}
	return NULL;
}

int main(void)
{
	zoo_needs_collector();
	make_and_lose();
	kit_scrub();
	kit_collect(1);
	more[0] = made(BLOCKS); /* from here on the owner has a span at hand */
	pthread_t t;
	if (pthread_create(&t, NULL, free_remotely, NULL))
		return 2;
	pthread_join(t, NULL);
	for (unsigned i = 1; i < MORE; i++)
		more[i] = made(BLOCKS + i);
	for (unsigned i = 0; i < MORE; i++)
		if (!kit_intact(more[i], 2, SIZE, BLOCKS + i))
			kit_fail("zoo: block %u at %p was given away twice", BLOCKS + i, more[i]);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (held[i] && !kit_intact(held[i], 2, SIZE, i))
			kit_fail("zoo: block %u at %p was given away twice", i, held[i]);
	return 0;
}
