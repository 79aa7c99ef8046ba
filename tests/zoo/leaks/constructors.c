/* Leaks before main (before the library starts as well: such blocks have no site, and count with all bytes of their slot but one) and behind it: in constructors, destructors and a thread that a constructor started. */
// expect: definite 1 blocks 127 bytes unrecorded
// expect: definite 1 blocks 72 bytes in_constructor
// expect: definite 1 blocks 72 bytes in_thread
// expect: definite 1 blocks 72 bytes in_destructor
#include "leak.h"
#include <pthread.h>

HELD void *held;

static SITE void in_preinit(void) { made(malloc(72)); }
static SITE void in_constructor(void) { made(malloc(72)); }
static SITE void in_thread(void) { made(malloc(72)); }
static SITE void in_destructor(void) { made(malloc(72)); }
static SITE void *kept(void) { return made(malloc(72)); }

static void *body(void *arg)
{
	in_thread();
	kit_scrub(); /* libc keeps the stack for the next thread */
	return arg;
}

static void preinit(void) { in_preinit(); }
__attribute__((section(".preinit_array"), used)) static void (*const before)(void) = preinit;

__attribute__((constructor)) static void start(void)
{
	pthread_t t;
	held = kept();
	in_constructor();
	if (pthread_create(&t, NULL, body, NULL) || pthread_join(t, NULL))
		_exit(2);
}

__attribute__((destructor)) static void end(void)
{
	free(held);
	held = NULL;
	in_destructor();
	kit_scrub();
}

int main(void)
{
	kit_scrub();
	return 0;
}
