/* __lsan_do_recoverable_leak_check tells by its result, as often as it is asked, and the program goes on. */
// expect: definite 2 blocks 144 bytes lose
// lsan: exitcode=0
#include "lsan.h"

HELD void *held;

static SITE void lose(void) { made(malloc(72)); }
static SITE void *kept(void) { return made(malloc(72)); }

static SITE int ask(void)
{
	kit_scrub();
	return __lsan_do_recoverable_leak_check();
}

int main(void)
{
	lsan_needed();
	held = kept();
	if (ask() || ask())
		return 3;
	lose();
	if (!ask() || !ask())
		return 4;
	lose();
	kit_scrub();
	return 0;
}
