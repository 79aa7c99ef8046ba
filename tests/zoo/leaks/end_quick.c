/* quick_exit runs its own handlers; what they freed is no leak. */
// expect: definite 1 blocks 72 bytes loses
// status: 6
#include "leak.h"

HELD void *held;

static SITE void loses(void) { made(malloc(72)); }
static SITE void *keeps(void) { return made(malloc(72)); }

static void handler(void)
{
	free(held);
	held = NULL;
	kit_scrub();
}

int main(void)
{
	held = keeps();
	at_quick_exit(handler);
	loses();
	kit_scrub();
	quick_exit(6);
}
