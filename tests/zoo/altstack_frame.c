/* The only pointer lies in a frame on the alternate stack, whose memory is a mapping. */
#include <signal.h>
#include <sys/mman.h>

#include "zoo.h"

static void handler(int signal)
{
	(void)signal;
	void *volatile keeper = zoo_block();
	kit_scrub();
	zoo_wait();
	zoo_result = zoo_verdict(keeper);
}

static void *body(void *arg)
{
	enum { ROOM = 256 << 10 };
	(void)arg;
	stack_t alternate = { .ss_size = ROOM };
	alternate.ss_sp = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	if (alternate.ss_sp == MAP_FAILED || sigaltstack(&alternate, NULL) || sigaction(SIGUSR1, &action, NULL))
		exit(2);
	raise(SIGUSR1);
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
