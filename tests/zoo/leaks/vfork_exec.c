/* vfork and exec, and a vfork child that ends by _exit because its exec failed: only the parent reports, and once. */
// expect: definite 1 blocks 72 bytes loses
#include "leak.h"
#include <sys/wait.h>

static SITE void loses(void) { made(malloc(72)); }

static SITE void run(const char *path)
{
	int status;
	pid_t pid = vfork();
	if (!pid) {
		char *const none[] = { NULL };
		execve(path, none, none);
		_exit(9);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(2);
}

int main(void)
{
	loses();
	run("/bin/true");
	run("/no/such/file");
	kit_scrub();
	return 0;
}
