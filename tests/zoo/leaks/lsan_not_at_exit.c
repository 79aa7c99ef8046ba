/* leak_check_at_exit=0: only when asked for. */
// expect: definite 1 blocks 72 bytes before
// lsan: leak_check_at_exit=0
#include "lsan.h"

static SITE void before(void) { made(malloc(72)); }
static SITE void behind(void) { made(malloc(72)); }

int main(void)
{
	lsan_needed();
	before();
	kit_scrub();
	if (!__lsan_do_recoverable_leak_check())
		return 3;
	behind();
	kit_scrub();
	return 0;
}
