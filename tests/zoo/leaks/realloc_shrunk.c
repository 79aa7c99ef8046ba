/* realloc to less, and a second pointer to where the block was: both lead nowhere once it moved. */
// expect: definite 10 blocks 240 bytes shrink
#include "leak.h"

HELD void *old[10];

static SITE void *start(void) { return made(malloc(5000)); }
static SITE void shrink(int i)
{
	void *p = start();
	old[i] = (void *)kit_hide((uintptr_t)p);
	use(made(realloc(p, 24)));
}

int main(void)
{
	for (int i = 0; i < 10; i++)
		shrink(i);
	kit_scrub();
	return 0;
}
