/* A child of fork that makes few blocks: in places that its parent's blocks had, and in those of its own that it freed before. It loses one of either, and a
 * large one. */
// expect child: definite 2 blocks 208 bytes in_child
// expect child: definite 1 blocks 300000 bytes large_in_child
#include "leak.h"

HELD void *kept[8];
static void *freed[8];

static SITE void in_child(void) { made(malloc(104)); }
static SITE void large_in_child(void) { made(malloc(300000)); }
static SITE void *keep(void) { return made(malloc(104)); }

static SITE void take(void)
{
	for (int i = 0; i < 8; i++)
		freed[i] = keep();
}
static SITE void drop(void)
{
	for (int i = 0; i < 8; i++) {
		free(freed[i]);
		freed[i] = NULL;
	}
}

static SITE void child(void)
{
	drop();
	in_child();
	take();
	drop();
	in_child();
	for (int i = 0; i < 8; i++)
		kept[i] = keep();
	free(made(malloc(300000)));
	large_in_child();
}

int main(void)
{
	take();
	int status = leak_fork(child);
	drop();
	kit_scrub();
	return status;
}
