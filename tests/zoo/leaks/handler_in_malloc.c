/* Handlers that allocate, in the middle of the program's own malloc and free: theirs are lost, the program's are not. */
// expect: definite 200 blocks 14400 bytes in_handler
#include "leak.h"
#include <signal.h>
#include <sys/time.h>

enum { LIVE = 512 };
static void *live[LIVE];
static volatile sig_atomic_t count;

static SITE void in_handler(void) { made(malloc(72)); }
static SITE void *own(size_t size) { return made(malloc(size)); }

static void handler(int number)
{
	if (count < 200) {
		in_handler();
		count = count + 1;
	}
}

int main(void)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	uint64_t seed = 1;
	if (sigaction(SIGALRM, &a, NULL) || setitimer(ITIMER_REAL, &often, NULL))
		return 2;
	for (uint64_t turn = 0; count < 200; turn++) {
		int i = (int)(kit_random(&seed) % LIVE);
		free(live[i]);
		live[i] = own(16 + kit_random(&seed) % 400);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	a.sa_handler = SIG_IGN;
	sigaction(SIGALRM, &a, NULL);
	kit_scrub();
	return 0;
}
