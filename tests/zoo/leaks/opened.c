/* A stack through a library that dlopen has just brought: dlopen tells nobody of its end, so the library is not listed yet. */
// expect: definite 1 blocks 72 bytes through_plugin
#include "leak.h"

static SITE void through_plugin(void (*lose)(void))
{
	lose();
	__asm__ volatile("");
}

static SITE void visit(void)
{
	void (*lose)(void);
	*(void **)&lose = dlsym(leak_open("libleak_plugin.so"), "lose_in_plugin");
	if (!lose)
		_exit(2);
	through_plugin(lose);
}

int main(void)
{
	visit();
	kit_scrub();
	return 0;
}
