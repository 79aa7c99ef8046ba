/* A coroutine parked by setjmp on a stack of its own: glibc mangles the frame pointer and the stack pointer that it saves. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 65536 };
static jmp_buf *parked;
static ucontext_t home;

static SITE void *fill(void) { return made(malloc(168)); }
static SITE void make_room(void) { parked = made(malloc(sizeof *parked)); }

static void coroutine(void)
{
	void *volatile local = fill();
	kit_scrub();
	if (!setjmp(*parked))
		setcontext(&home);
	use((const void *)&local);
}

static SITE void start(void)
{
	static ucontext_t c;
	volatile int back = 0;
	void *stack = malloc(STACK);
	if (getcontext(&c) || !stack)
		_exit(2);
	memset(stack, 0, STACK);
	c.uc_stack.ss_sp = stack;
	c.uc_stack.ss_size = STACK;
	makecontext(&c, coroutine, 0);
	getcontext(&home);
	if (!back) {
		back = 1;
		setcontext(&c);
	}
	memset(&c, 0, sizeof c); /* from here on the saved stack pointer alone leads there */
	memset(&home, 0, sizeof home);
}

int main(void)
{
	make_room();
	start();
	decoy();
	kit_scrub();
	return 0;
}
