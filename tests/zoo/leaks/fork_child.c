/* A child of fork tells what it lost itself; what was lost before is told by its parent. */
// expect: definite 1 blocks 72 bytes before_fork
// expect: definite 1 blocks 88 bytes in_parent
// expect child: definite 2 blocks 208 bytes in_child
// status: 3
#include "leak.h"
#include <sys/wait.h>

HELD void *held;

static SITE void before_fork(void) { made(malloc(72)); }
static SITE void in_parent(void) { made(malloc(88)); }
static SITE void in_child(void) { made(malloc(104)); }
static SITE void *kept(void) { return made(malloc(72)); }

int main(void)
{
	int status;
	held = kept();
	before_fork();
	kit_scrub();
	pid_t pid = fork();
	if (!pid) {
		in_child();
		in_child();
		kit_scrub();
		exit(3);
	}
	in_parent();
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	kit_scrub();
	return WEXITSTATUS(status);
}
