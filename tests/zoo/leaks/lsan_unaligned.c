/* LSAN_OPTIONS=use_unaligned=1: a pointer in a packed structure counts. */
// expect: definite 1 blocks 40 bytes decoy
// lsan: use_unaligned=1
#include "leak.h"

HELD struct __attribute__((packed)) { int before; void *p; } packed;

static SITE void fill(void) { packed.p = made(malloc(120)); }

int main(void)
{
	fill();
	decoy();
	kit_scrub();
	return 0;
}
