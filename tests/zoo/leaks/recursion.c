/* 20,000 frames: a leak at the bottom, a block that the uppermost frame holds, and exit from down there. */
// expect: definite 1 blocks 72 bytes at_the_bottom
#include "leak.h"

static SITE void at_the_bottom(void) { made(malloc(72)); }
static SITE void *at_the_top(void) { return made(malloc(72)); }

static SITE int down(int n)
{
	volatile char frame[64];
	frame[0] = 0;
	if (!n) {
		at_the_bottom();
		kit_scrub();
		exit(0);
	}
	return n > 0 ? down(n - 1) + frame[0] : 1;
}

static SITE void top(void)
{
	void *volatile local = at_the_top();
	down(20000);
	use((const void *)&local);
}

int main(void)
{
	top();
	return 1;
}
