/* _exit, with locals in frames above it. */
// expect: definite 1 blocks 72 bytes loses
// status: 5
#include "leak.h"

static SITE void loses(void) { made(malloc(72)); }
static SITE void *keeps(void) { return made(malloc(72)); }

static SITE void deep(void)
{
	void *volatile local = keeps();
	loses();
	kit_scrub();
	use((const void *)&local);
	_exit(5);
}

int main(void)
{
	deep();
	return 1;
}
