/* The only pointer lies in a frame of the collecting thread's own stack. */
#include "zoo.h"

int main(void)
{
	zoo_needs_collector();
	void *volatile keeper = zoo_block();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(keeper);
}
