/* __lsan_is_turned_off: no report, at exit or when asked for. */
// expect: no report
// lsan: exitcode=5
#include "lsan.h"

LSAN_OWN int __lsan_is_turned_off(void) { return 1; }

static SITE void lose(void) { made(malloc(72)); }

int main(void)
{
	lsan_needed();
	lose();
	kit_scrub();
	__lsan_do_leak_check();
	return __lsan_do_recoverable_leak_check();
}
