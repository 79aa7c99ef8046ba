/* The program's own suppressions, by function, and what is not suppressed. */
// expect: definite 2 blocks 144 bytes told
#include "lsan.h"

LSAN_OWN const char *__lsan_default_suppressions(void) { return "# known\nleak:^kept_quiet$\nleak:*_by_pattern\n"; }

static SITE void told(void) { made(malloc(72)); }
static SITE void kept_quiet(void) { made(malloc(88)); }
static SITE void lost_by_pattern(void) { made(malloc(104)); }

int main(void)
{
	for (int i = 0; i < 2; i++) {
		told();
		kept_quiet();
		lost_by_pattern();
	}
	kit_scrub();
	return 0;
}
