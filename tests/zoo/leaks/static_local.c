/* A static inside a function, made at its first call. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"

static SITE char *buffer(void)
{
	static char *only;
	if (!only)
		only = made(malloc(256));
	return only;
}

int main(void)
{
	for (int i = 0; i < 10; i++)
		buffer()[i] = 1;
	decoy();
	kit_scrub();
	return 0;
}
