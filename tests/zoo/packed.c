/* The only pointers lie at multiples of 4: in data, in small blocks, and in large ones, also where the marker cuts those in pieces or its
 * vector loop ends. */
#include "zoo.h"

enum { PIECE = 16 << 10, LARGE = 256 << 10 };
static char data[64];
static char *small[8], *large, *vectors; /* four vectors of 32 bytes a turn, then word by word */

static __attribute__((noinline)) void place(void)
{
	zoo_store(data + 20);
	for (int i = 0; i < 8; i++) {
		small[i] = calloc(1, 24 + 64 * i);
		zoo_store(small[i] + 4 + 64 * i);
	}
	vectors = calloc(1, 300);
	zoo_store(vectors + 124);
	zoo_store(vectors + 252);
	zoo_store(vectors + 276);
	large = calloc(1, LARGE);
	for (int at = PIECE - 4; at + 8 <= LARGE; at += PIECE)
		zoo_store(large + at);
	zoo_store(large + LARGE - 12);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	int r = zoo_look(data + 20) | zoo_look(large + LARGE - 12);
	r |= zoo_look(vectors + 124) | zoo_look(vectors + 252) | zoo_look(vectors + 276);
	for (int i = 0; i < 8; i++)
		r |= zoo_look(small[i] + 4 + 64 * i);
	for (int at = PIECE - 4; at + 8 <= LARGE; at += PIECE)
		r |= zoo_look(large + at);
	return r;
}
