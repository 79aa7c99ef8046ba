/* A key without a destructor: what its thread had put there is lost with it. With one nothing is. */
// expect: definite 5 blocks 440 bytes without_destructor
#include "leak.h"
#include <pthread.h>

static pthread_key_t bare, freed;

static SITE void without_destructor(void) { pthread_setspecific(bare, made(malloc(88))); }
static SITE void with_destructor(void) { pthread_setspecific(freed, made(malloc(88))); }

static void *body(void *arg)
{
	without_destructor();
	with_destructor();
	kit_scrub();
	return arg;
}

int main(void)
{
	if (pthread_key_create(&bare, NULL) || pthread_key_create(&freed, free))
		return 2;
	for (int i = 0; i < 5; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, body, NULL) || pthread_join(t, NULL))
			return 2;
	}
	kit_scrub();
	return 0;
}
