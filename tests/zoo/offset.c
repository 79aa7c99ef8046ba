/* The only way to the block is its distance from another block's start, kept in that block: fontconfig's arrays. Once from a
 * block of another class, once from a neighbour in the same span. */
#include "zoo.h"

struct owner {
	intptr_t number, to_array;
};
static struct owner *owners[2];

enum { PAGE = 64 << 10, TRIES = 1000 };

static bool same_page(const void *a, const void *b) { return (uintptr_t)a / PAGE == (uintptr_t)b / PAGE; }

static __attribute__((noinline)) void build(int i, size_t size, bool near)
{
	for (int n = 0; n < TRIES; n++) {
		struct owner *owner = calloc(1, size);
		if (!owner)
			exit(2);
		void *array = zoo_block();
		if (near && !same_page(owner, array))
			continue; /* a span ended between them */
		owner->number = 3;
		owner->to_array = (intptr_t)array - (intptr_t)owner;
		owners[i] = owner;
		return;
	}
	exit(2);
}

static int look(const struct owner *owner) { return zoo_verdict((const char *)owner + owner->to_array); }

int main(void)
{
	zoo_needs_collector();
	build(0, sizeof(struct owner), false);
	build(1, ZOO_SIZE, true);
	zoo_collect(ZOO_SIZE);
	return look(owners[0]) | look(owners[1]);
}
