/* Values of pthread keys: few, which lie in the thread's descriptor, and many, for which glibc allocates. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static SITE void fill(pthread_key_t key) { pthread_setspecific(key, made(malloc(88))); }

int main(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_key_t key;
		if (pthread_key_create(&key, NULL))
			return 2;
		fill(key);
	}
	decoy();
	kit_scrub();
	return 0;
}
