/* Two lost owners share a child, which hangs off both and counts once; a child that a live block holds too is no leak. */
// expect: definite 2 blocks 128 bytes owner
// expect: indirect 1 blocks 24 bytes shared
#include "leak.h"

HELD void *held;

static SITE void **owner(void) { return made(calloc(1, 64)); }
static SITE void *shared(void) { return made(calloc(1, 24)); }
static SITE void *rescued(void) { return made(calloc(1, 24)); }

static SITE void build(void)
{
	void **a = owner(), **b = owner(), *child = shared();
	a[0] = b[4] = child;
	held = a[1] = rescued();
}

int main(void)
{
	build();
	kit_scrub();
	return 0;
}
