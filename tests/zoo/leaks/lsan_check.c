/* __lsan_do_leak_check is the report: what is lost later does not come into one. Without exitcode= the program goes on. */
// expect: definite 2 blocks 144 bytes before
#include "lsan.h"

static SITE void before(void) { made(malloc(72)); }
static SITE void behind(void) { made(malloc(72)); }

int main(void)
{
	lsan_needed();
	before();
	before();
	kit_scrub();
	__lsan_do_leak_check();
	behind();
	kit_scrub();
	__lsan_do_leak_check();
	return 0;
}
