/* Held by a pointer into its middle, or to one past its end, and by nothing else. */
// expect: possible 2 blocks 400 bytes middle
// expect: possible 1 blocks 128 bytes end
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"

HELD char *held[3];

static SITE void middle(void)
{
	held[0] = (char *)made(malloc(200)) + 64;
	held[1] = (char *)made(malloc(200)) + 199;
}
static SITE void end(void) { held[2] = (char *)made(malloc(128)) + 128; }

int main(void)
{
	middle();
	end();
	decoy();
	kit_scrub();
	return 0;
}
