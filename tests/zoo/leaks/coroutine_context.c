/* Coroutines by swapcontext, on stacks that are malloc'ed: parked ones hold their locals, and those of a lost one are lost. */
// expect: definite 1 blocks 65536 bytes lost_stack
// expect: indirect 1 blocks 168 bytes lost_local
#include "leak.h"
#include <ucontext.h>

enum { STACK = 65536 };
static ucontext_t home, parked, *lost;

static SITE void *held_local(void) { return made(malloc(168)); }
static SITE void *lost_local(void) { return made(malloc(168)); }
static SITE void *held_stack(void) { return made(malloc(STACK)); }
static SITE void *lost_stack(void) { return made(malloc(STACK)); }

static void runs_on_held(void)
{
	void *volatile local = held_local();
	kit_scrub();
	swapcontext(&parked, &home);
	use((const void *)&local);
}

static void runs_on_lost(void)
{
	void *volatile local = lost_local();
	kit_scrub();
	swapcontext(lost, &home);
	use((const void *)&local);
}

static SITE void start(ucontext_t *c, void *stack, void (*fn)(void))
{
	if (getcontext(c))
		_exit(2);
	memset(stack, 0, STACK);
	c->uc_stack.ss_sp = stack;
	c->uc_stack.ss_size = STACK;
	makecontext(c, fn, 0);
	swapcontext(&home, c);
}

static SITE void lose(void)
{
	static ucontext_t context;
	lost = &context;
	start(lost, lost_stack(), runs_on_lost);
	memset(&context, 0, sizeof context);
	lost = NULL;
}

int main(void)
{
	start(&parked, held_stack(), runs_on_held);
	lose();
	kit_scrub();
	memset(&home, 0, sizeof home);
	return 0;
}
