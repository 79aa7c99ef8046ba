/* What hangs off a block that is held by an interior pointer is no surer than its owner; a second, plain pointer settles it. */
// expect: possible 1 blocks 200 bytes owner
// expect: possible 1 blocks 56 bytes owned
// expect: none
#include "leak.h"

HELD char *inside, *also, *start;

static SITE void **owner(void) { return made(malloc(200)); }
static SITE void *owned(void) { return made(malloc(56)); }
static SITE void *settled(void) { return made(malloc(200)); }

static SITE void fill(void)
{
	void **p = owner();
	memset(p, 0, 200);
	p[3] = owned();
	inside = (char *)(p + 10);
	start = settled();
	also = start + 80;
}

int main(void)
{
	fill();
	kit_scrub();
	return 0;
}
