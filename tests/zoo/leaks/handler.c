/* Leaks in signal handlers, on the ordinary stack and on an alternate one. */
// expect: definite 100 blocks 7200 bytes in_handler
#include "leak.h"
#include <signal.h>

static volatile sig_atomic_t count;

static SITE void in_handler(void) { made(malloc(72)); }

static void handler(int number)
{
	if (count < 100) {
		in_handler();
		count = count + 1;
	}
}

int main(void)
{
	static char memory[64 << 10];
	stack_t s = { .ss_sp = memory, .ss_size = sizeof memory };
	struct sigaction a = { .sa_handler = handler };
	sigset_t set;
	if (sigaltstack(&s, NULL) || sigaction(SIGUSR1, &a, NULL))
		return 2;
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
	a.sa_flags = SA_ONSTACK;
	if (sigaction(SIGUSR1, &a, NULL))
		return 2;
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	memset(memory, 0, sizeof memory); /* data of the program, whatever else it was */
	kit_scrub();
	return 0;
}
