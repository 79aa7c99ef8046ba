/* Blocks that are never written: 3 GiB lost, 1 GiB held, 1 GiB freed. The only pointer to a small block stands in the held one. */
// expect: definite 3 blocks 3221225472 bytes lose
#include "leak.h"

HELD char *held;

static SITE char *keep(void) { return made(malloc(1ul << 30)); }
static SITE void lose(void) { made(malloc(1ul << 30)); }
static SITE void *in_huge(void) { return made(malloc(56)); }

static SITE void fill(void)
{
	held = keep();
	*(void **)(held + (700u << 20)) = in_huge();
}

int main(void)
{
	fill();
	for (int i = 0; i < 3; i++)
		lose();
	free(keep());
	kit_scrub();
	return 0;
}
