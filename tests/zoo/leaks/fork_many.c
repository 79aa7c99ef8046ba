/* A child of fork that makes more blocks than are remembered one by one, and frees half of them, tells of those that it loses: first, between the others,
 * last. */
// expect child: definite 3 blocks 312 bytes in_child
#include "leak.h"

HELD void *kept[400];
static void *freed[400];

static SITE void in_child(void) { made(malloc(104)); }
static SITE void *keep(void) { return made(malloc(104)); }

static SITE void fill(int from, int to)
{
	for (int i = from; i < to; i++) {
		kept[i] = keep();
		freed[i] = keep();
	}
	for (int i = from; i < to; i++) {
		free(freed[i]);
		freed[i] = NULL;
	}
}

static SITE void child(void)
{
	in_child();
	fill(0, 200);
	in_child();
	fill(200, 400);
	in_child();
}

int main(void)
{
	int status = leak_fork(child);
	kit_scrub();
	return status;
}
