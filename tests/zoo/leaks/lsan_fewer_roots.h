/* A block in each place that LSAN_OPTIONS can leave out. */
#include "leak.h"
#include <pthread.h>

HELD void *global;
HELD __thread void *local;

static SITE void *in_global(void) { return made(malloc(72)); }
static SITE void *in_tls(void) { return made(malloc(88)); }
static SITE void *on_stack(void) { return made(malloc(104)); }
static SITE uintptr_t in_register(void) { return kit_hide((uintptr_t)made(malloc(120))); }

static SITE void sleeps(void)
{
	void *volatile here = on_stack();
	local = in_tls();
	kit_scrub();
	leak_stay();
	use((const void *)&here);
}

static void *holds_on_stack(void *arg)
{
	sleeps();
	return arg;
}

static uint32_t spins; /* atomic */

static void *holds_in_register(void *arg)
{
	leak_spin(in_register(), &spins);
	return arg;
}

static SITE void fill(void)
{
	pthread_t t;
	global = in_global();
	local = in_tls();
	if (pthread_create(&t, NULL, holds_on_stack, NULL) || pthread_create(&t, NULL, holds_in_register, NULL))
		_exit(2);
	leak_wait();
	while (!__atomic_load_n(&spins, __ATOMIC_ACQUIRE))
		usleep(1000);
}

int main(void)
{
	fill();
	kit_scrub();
	return 0;
}
