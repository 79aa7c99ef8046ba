/* A global whose block is lost each time it gets another one. */
// expect: definite 9 blocks 900 bytes replace
#include "leak.h"

HELD void *global;

static SITE void replace(void) { global = made(malloc(100)); }

int main(void)
{
	for (int i = 0; i < 10; i++)
		replace();
	kit_scrub();
	return 0;
}
