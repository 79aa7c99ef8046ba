/* Data of a library that is closed again, and what the library itself had lost before: its name must outlive it. */
// expect: definite 1 blocks 104 bytes fill
// expect: definite 1 blocks 72 bytes lose_in_plugin
#include "leak.h"

static SITE void fill(void (*hold)(void *)) { hold(made(malloc(104))); }

static SITE void visit(void)
{
	void *plugin = leak_open("libleak_plugin.so");
	void (*hold)(void *), (*lose)(void);
	*(void **)&hold = dlsym(plugin, "hold_data");
	*(void **)&lose = dlsym(plugin, "lose_in_plugin");
	if (!hold || !lose)
		_exit(2);
	fill(hold);
	lose();
	if (dlclose(plugin))
		_exit(2);
}

int main(void)
{
	visit();
	kit_scrub();
	return 0;
}
