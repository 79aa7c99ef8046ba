/* Frames that longjmp skips lose what they held, out of a function and out of a handler. */
// expect: definite 10 blocks 720 bytes skipped
// expect: definite 10 blocks 720 bytes in_handler
#include "leak.h"
#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;

static SITE void *skipped(void) { return made(malloc(72)); }
static SITE void *in_handler(void) { return made(malloc(72)); }

static SITE void leave(void)
{
	void *volatile local = skipped();
	use((const void *)&local);
	siglongjmp(back, 1);
}

static void handler(int number)
{
	void *volatile local = in_handler();
	use((const void *)&local);
	siglongjmp(back, 1);
}

static SITE void once(void (*fn)(void))
{
	if (!sigsetjmp(back, 1))
		fn();
}

static SITE void by_signal(void) { raise(SIGUSR1); }

int main(void)
{
	signal(SIGUSR1, handler);
	for (int i = 0; i < 10; i++) {
		once(leave);
		once(by_signal);
	}
	memset(&back, 0, sizeof back);
	kit_scrub();
	return 0;
}
