/* With exitcode= it ends the process when it finds a leak, and only then; what was printed is not lost. */
// expect: definite 1 blocks 72 bytes before
// lsan: exitcode=9:unknown_flag=3
// status: 9
// output: half a line
#include "lsan.h"

static void *held;

static SITE void before(void) { made(malloc(72)); }
static SITE void *kept(void) { return made(malloc(72)); }

int main(void)
{
	lsan_needed();
	held = kept();
	printf("half a line");
	before();
	kit_scrub();
	__lsan_do_leak_check();
	use(held);
	return 1;
}
