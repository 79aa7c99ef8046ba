/* exit in a handler on an alternate stack: the ordinary stack, which it interrupted, holds a block, and so does the alternate one. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <signal.h>

static SITE void *fill(void) { return made(malloc(152)); }

static void handler(int number)
{
	void *volatile local = fill();
	decoy();
	kit_scrub();
	use((const void *)&local);
	exit(number == SIGUSR1 ? 0 : 1);
}

static SITE void ordinary(void)
{
	void *volatile local = fill();
	kit_scrub();
	raise(SIGUSR1);
	use((const void *)&local);
}

int main(void)
{
	static char memory[256 << 10];
	stack_t s = { .ss_sp = memory, .ss_size = sizeof memory };
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	if (sigaltstack(&s, NULL) || sigaction(SIGUSR1, &a, NULL))
		return 2;
	ordinary();
	return 1;
}
