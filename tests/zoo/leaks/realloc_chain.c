/* Blocks that grow by realloc, in place, by moving and by mremap. The site is that of the last call; what moved is not lost. */
// expect: definite 3 blocks 6144000 bytes grow
#include "leak.h"

HELD char *held;

static SITE char *grow(char *p, size_t size) { return made(realloc(p, size)); }

static SITE char *chain(size_t last)
{
	char *p = NULL;
	for (size_t size = 16; size < last; size += size / 3 + 16)
		p = grow(p, size);
	return grow(p, last);
}

static SITE void lose(void)
{
	for (int i = 0; i < 3; i++)
		chain(2048000);
}

int main(void)
{
	held = chain(1 << 20);
	lose();
	kit_scrub();
	return 0;
}
