/* The result of a thread that has ended and waits for its join; then of one that was joined by somebody who did not look. */
// expect: definite 1 blocks 184 bytes unwanted
#include "leak.h"
#include <pthread.h>
#include <sys/syscall.h>

static SITE void *unwanted(void) { return made(malloc(184)); }
static SITE void *waiting(void) { return made(malloc(184)); }

static void *ends_unwanted(void *arg) { return unwanted(); }
static void *ends_waiting(void *arg) { return waiting(); }

static SITE void start(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, ends_unwanted, NULL) || pthread_join(t, NULL) || pthread_create(&t, NULL, ends_waiting, NULL))
		_exit(2);
	static pthread_t kept;
	kept = t;
	use(&kept);
	usleep(100000);
}

int main(void)
{
	start();
	kit_scrub();
	return 0;
}
