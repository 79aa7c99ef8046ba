/* Blocks of no bytes: held ones are no leak, lost ones are. */
// expect: definite 20 blocks 0 bytes lose
#include "leak.h"

HELD void *held[20];

static SITE void *keep(void) { return made(malloc(0)); }
static SITE void lose(void) { made(malloc(0)); }

int main(void)
{
	for (int i = 0; i < 20; i++) {
		held[i] = keep();
		lose();
	}
	kit_scrub();
	return 0;
}
