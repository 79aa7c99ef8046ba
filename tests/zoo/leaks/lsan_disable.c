/* What a thread allocates between __lsan_disable and the last __lsan_enable is no leak, nor what hangs off it; another thread's is one. */
// expect: definite 3 blocks 144 bytes watched
// expect: definite 1 blocks 56 bytes elsewhere
#include "lsan.h"
#include <pthread.h>

static SITE void **unwatched(void) { return made(malloc(48)); }
static SITE void *owned(void) { return made(malloc(104)); }
static SITE void watched(void) { made(malloc(48)); }
static SITE void elsewhere(void) { made(malloc(56)); }

static void *body(void *arg)
{
	elsewhere();
	kit_scrub();
	return arg;
}

static SITE void lose(void)
{
	pthread_t t;
	void *hangs_off_it = owned();
	watched();
	__lsan_disable();
	unwatched()[2] = hangs_off_it;
	__lsan_disable();
	unwatched();
	if (pthread_create(&t, NULL, body, NULL) || pthread_join(t, NULL))
		_exit(2);
	__lsan_enable();
	unwatched();
	__lsan_enable();
	watched();
	__lsan_enable(); /* one too many: a line, no more */
	watched();
}

int main(void)
{
	lsan_needed();
	lose();
	kit_scrub();
	return 0;
}
