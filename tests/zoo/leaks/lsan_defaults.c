/* The program's own options: LSAN_OPTIONS wins over them, they win over nothing. */
// expect: definite 1 blocks 72 bytes lose
// lsan: exitcode=12
// status: 12
#include "lsan.h"

LSAN_OWN const char *__lsan_default_options(void) { return "exitcode=11 verbosity=1"; }

static SITE void lose(void) { made(malloc(72)); }

int main(void)
{
	lose();
	kit_scrub();
	return 0;
}
