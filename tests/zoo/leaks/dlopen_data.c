/* Data of a library that was opened at run time. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"

static SITE void fill(void (*hold)(void *)) { hold(made(malloc(104))); }

int main(void)
{
	void (*hold)(void *);
	*(void **)&hold = dlsym(leak_open("libleak_plugin.so"), "hold_data");
	if (!hold)
		return 2;
	fill(hold);
	decoy();
	kit_scrub();
	return 0;
}
