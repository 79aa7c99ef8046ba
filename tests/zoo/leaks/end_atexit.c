/* What exit handlers free is no leak; what they lose is. The report comes behind all of them, whoever registered first. */
// expect: definite 2 blocks 144 bytes lost_in_handler
#include "leak.h"

HELD void *held[3], *first;

static SITE void *kept(void) { return made(malloc(72)); }
static SITE void lost_in_handler(void) { made(malloc(72)); }

static void on_exit_last(void)
{
	for (int i = 0; i < 3; i++) {
		free(held[i]);
		held[i] = NULL;
	}
	lost_in_handler();
	kit_scrub();
}
static void on_exit_first(void) { lost_in_handler(); }

__attribute__((constructor(101))) static void early(void)
{
	first = kept();
	atexit(on_exit_last);
}

int main(void)
{
	for (int i = 0; i < 3; i++)
		held[i] = kept();
	atexit(on_exit_first);
	free(first);
	first = NULL;
	kit_scrub();
	return 0;
}
