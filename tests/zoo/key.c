/* The only pointer is a pthread_setspecific value of the main thread. */
#include "zoo.h"

static pthread_key_t key;

static __attribute__((noinline)) void place(void)
{
	if (pthread_key_create(&key, NULL) || pthread_setspecific(key, zoo_block()))
		exit(2);
}

static void *look(void)
{
	return pthread_getspecific(key);
}

int main(void) { return zoo_with_place(place, look); }
