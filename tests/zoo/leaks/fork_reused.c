/* A child of fork that makes few blocks: in places that its parent's blocks had, and in those of its own that it freed before. It loses one of either, and a
 * large one. */
// expect child: definite 2 blocks 208 bytes in_child
// expect child: definite 1 blocks 300000 bytes large_in_child
#include "leak.h"
#include <sys/wait.h>

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
	kit_scrub();
	exit(0);
}

int main(void)
{
	int status = 0;
	take();
	pid_t pid = fork();
	if (!pid)
		child();
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	drop();
	kit_scrub();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
