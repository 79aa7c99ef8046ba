/* The only pointer is one past the end of a block of a whole page, on the stack: a boundary word there counts for both. */
#include "zoo.h"

int main(void)
{
	zoo_needs_collector();
	enum { SIZE = 4096 };
	char *volatile keeper = (char *)zoo_block_of(SIZE, 0) + SIZE;
	zoo_collect(SIZE);
	if (kit_intact(keeper - SIZE, 0, SIZE, ZOO_ID))
		return 0;
	fprintf(stderr, "zoo: the block below %p was recycled\n", (void *)keeper);
	return 1;
}
