/* The only pointers lie in initialized data, in bss, and in a const table that relocation made. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"

HELD void *data[3] = { &data[1], NULL, NULL };
HELD void *bss[1000];

static SITE void fill(void)
{
	data[2] = made(malloc(100));
	for (int i = 0; i < 1000; i += 7)
		bss[i] = made(malloc(100));
}

int main(void)
{
	fill();
	decoy();
	kit_scrub();
	return 0;
}
