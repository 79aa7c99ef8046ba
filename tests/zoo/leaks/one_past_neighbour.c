/* A pointer one past the end of a block is no pointer to the block behind it. Sizes leave no spare byte in glibc's malloc. */
// expect: definite 200 blocks 4800 bytes lose
#include "leak.h"

HELD char *ends[200];

static SITE void *keep(void) { return made(malloc(24)); }
static SITE void lose(void) { made(malloc(24)); }
HELD void *starts[200];

int main(void)
{
	for (int i = 0; i < 200; i++) {
		starts[i] = keep();
		ends[i] = (char *)starts[i] + 24;
		lose();
	}
	kit_scrub();
	return 0;
}
