/* A forked child collects its own copy: the pointer lies on the stack of the thread that forked, another thread is gone. */
#include <sys/wait.h>

#include "zoo.h"

static void *other(void *arg)
{
	(void)arg;
	for (;;)
		free(malloc(ZOO_SIZE));
	return NULL;
}

int main(void)
{
	zoo_needs_collector();
	pthread_t t;
	if (pthread_create(&t, NULL, other, NULL))
		return 2;
	void *volatile keeper = zoo_block();
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t child = fork();
		if (child < 0)
			return 2;
		if (child == 0) {
			zoo_collect(ZOO_SIZE);
			_exit(zoo_verdict(keeper));
		}
		kit_collect(1);
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return zoo_verdict(keeper);
}
