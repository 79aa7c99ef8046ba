/* A million tiny leaks, and a million blocks that were freed. */
// expect: definite 1000000 blocks 8000000 bytes lose
#include "leak.h"

static SITE void lose(void) { made(malloc(8)); }
static SITE void drop(void) { free(made(malloc(8))); }

int main(void)
{
	for (int i = 0; i < 1000000; i++) {
		lose();
		drop();
	}
	kit_scrub();
	return 0;
}
