/* realloc that fails leaves its block alone: the program that overwrites its pointer with NULL has lost it. */
// expect: definite 1 blocks 72 bytes start
#include "leak.h"
#include <errno.h>

HELD void *p;

static SITE void start(void) { p = made(malloc(72)); }
static SITE void grow(void)
{
	volatile size_t size = PTRDIFF_MAX;
	p = realloc(p, size);
}

int main(void)
{
	start();
	grow();
	kit_scrub();
	return p != NULL || errno != ENOMEM;
}
