/* The only pointers lie at multiples of 4: in data, in small blocks, and in large ones, also where the marker cuts those in pieces or its
 * vector loop ends. */
#include "zoo.h"

enum { PIECE = 16 << 10, LARGE = 256 << 10 };
static char data[64];
static char *small[8], *large, *vectors; /* four vectors of 32 bytes a turn, then word by word */

static void store(char *at)
{
	void *p = zoo_block();
	memcpy(at, &p, sizeof p);
}

static __attribute__((noinline)) void place(void)
{
	store(data + 20);
	for (int i = 0; i < 8; i++) {
		small[i] = calloc(1, 24 + 64 * i);
		store(small[i] + 4 + 64 * i);
	}
	vectors = calloc(1, 300);
	store(vectors + 124);
	store(vectors + 252);
	store(vectors + 276);
	large = calloc(1, LARGE);
	for (int at = PIECE - 4; at + 8 <= LARGE; at += PIECE)
		store(large + at);
	store(large + LARGE - 12);
}

static int look(const char *at)
{
	void *p;
	memcpy(&p, at, sizeof p);
	return zoo_verdict(p);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	int r = look(data + 20) | look(large + LARGE - 12);
	r |= look(vectors + 124) | look(vectors + 252) | look(vectors + 276);
	for (int i = 0; i < 8; i++)
		r |= look(small[i] + 4 + 64 * i);
	for (int at = PIECE - 4; at + 8 <= LARGE; at += PIECE)
		r |= look(large + at);
	return r;
}
