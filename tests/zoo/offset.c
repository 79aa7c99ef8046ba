/* The only way to the block is its distance from another block's start, kept in that block: fontconfig's arrays. */
#include "zoo.h"

struct owner {
	intptr_t number, to_array;
};
static struct owner *owner;

static __attribute__((noinline)) void build(void)
{
	owner = malloc(sizeof *owner);
	if (!owner)
		exit(2);
	void *array = zoo_block();
	owner->number = 3;
	owner->to_array = (intptr_t)array - (intptr_t)owner;
}

int main(void)
{
	zoo_needs_collector();
	build();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict((char *)owner + owner->to_array);
}
