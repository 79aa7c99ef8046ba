/* The only pointer lies on the ordinary stack of a thread that runs a handler on an alternate stack. */
#include <signal.h>

#include "zoo.h"

static void handler(int signal)
{
	(void)signal;
	zoo_wait();
}

static void *body(void *arg)
{
	static char room[64 << 10];
	(void)arg;
	void *volatile keeper = zoo_block();
	stack_t alternate = { .ss_sp = room, .ss_size = sizeof room };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	if (sigaltstack(&alternate, NULL) || sigaction(SIGUSR1, &action, NULL))
		exit(2);
	kit_scrub();
	raise(SIGUSR1);
	zoo_result = zoo_verdict(keeper);
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
