/* Copies in dead frames hold nothing: the stack below the one that exits, and that of a thread below where it sleeps. */
// expect: definite 64 blocks 10752 bytes leave_copies
#include "leak.h"
#include <pthread.h>

static SITE void leave_copies(int n)
{
	void *volatile local[16];
	for (int i = 0; i < 16; i++)
		local[i] = NULL;
	local[n % 16] = made(malloc(168));
	if (n % 32)
		leave_copies(n - 1);
	use((const void *)local);
}

/* Frames of those who come later have parts that they never write, where old words stay: exit needs 2 KiB, a sleep less. */
static SITE void below(void)
{
	volatile char room[8192];
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = 0;
	leave_copies(31);
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = 0;
}

static void *body(void *arg)
{
	below();
	leak_stay();
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	below();
	return 0;
}
