/* Threads die and leave spans with live blocks behind; others adopt them, free into them and allocate from them, while
 * cycles run. No block that the table holds is ever touched (laws 4 and 6). */
#include "zoo.h"

enum { BLOCKS = 3000, ROUNDS = 40 };
static void *held[BLOCKS];

static size_t size_of(unsigned i) { return 32 + 48 * (i % 8); }

static void *body(void *arg)
{
	uint64_t seed = 11 + (uintptr_t)arg;
	for (int k = 0; k < 1500; k++) {
		unsigned i = (unsigned)(kit_random(&seed) >> 40) % BLOCKS;
		if (held[i]) {
			if (!kit_intact(held[i], 0, size_of(i), i))
				kit_fail("zoo: block %u at %p is damaged", i, held[i]);
			free(held[i]);
			held[i] = NULL;
		} else {
			void *p = malloc(size_of(i));
			if (!p)
				exit(2);
			kit_fill(p, 0, size_of(i), i);
			held[i] = p;
		}
		if (k % 300 == 0)
			kit_collect(1);
	}
	return NULL;
}

int main(void)
{
	zoo_needs_collector();
	for (uintptr_t round = 0; round < ROUNDS; round++) {
		pthread_t t;
		if (pthread_create(&t, NULL, body, (void *)round))
			return 2;
		pthread_join(t, NULL);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (held[i] && !kit_intact(held[i], 0, size_of(i), i))
			kit_fail("zoo: block %u at %p is damaged", i, held[i]);
	return 0;
}
