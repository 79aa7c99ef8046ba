/* The program's own options alone. */
// expect: definite 1 blocks 72 bytes lose
// status: 11
#include "lsan.h"

LSAN_OWN const char *__lsan_default_options(void) { return "exitcode='11'"; }

static SITE void lose(void) { made(malloc(72)); }

int main(void)
{
	lose();
	kit_scrub();
	return 0;
}
