/* exec under stops: 300 images live; every form passes its arguments; a failed exec leaves the process as it was. */
#include "check.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int wait_for(pid_t p)
{
	int status = -1;
	while (waitpid(p, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

int main(int argc, char **argv)
{
	if (argc > 1) { /* the new image */
		const char *v = getenv("MARK");
		return argc == 4 && !strcmp(argv[3], "c") && v && !strcmp(v, "1") ? 7 : 8;
	}
	setenv("MARK", "1", 1);
	char *self = argv[0], *args[] = { self, "a", "b", "c", NULL };
	int good = 0, form;
	for (int i = 0; i < 300; i++) {
		pid_t p = fork();
		if (p == 0) {
			struct timespec t = { 0, 100000 * (i % 13) };
			nanosleep(&t, NULL);
			form = i % 9;
			if (form == 0) execve(self, args, environ);
			if (form == 1) execv(self, args);
			if (form == 2) execvp(self, args);
			if (form == 3) execvpe(self, args, environ);
			if (form == 4) execl(self, self, "a", "b", "c", (char *)NULL);
			if (form == 5) execle(self, self, "a", "b", "c", (char *)NULL, environ);
			if (form == 6) execlp(self, self, "a", "b", "c", (char *)NULL);
			if (form == 7) fexecve(open(self, O_RDONLY | O_CLOEXEC), args, environ);
			if (form == 8) execveat(AT_FDCWD, self, args, environ, 0);
			_exit(99);
		}
		int s = wait_for(p);
		good += WIFEXITED(s) && WEXITSTATUS(s) == 7;
		if (!WIFEXITED(s) || WEXITSTATUS(s) != 7)
			fprintf(stderr, "  exec %d (form %d): status %x\n", i, i % 9, s);
	}
	CHECK("300 execs", good == 300);
	good = 0;
	for (int i = 0; i < 50; i++) {
		pid_t p = vfork();
		if (p == 0) {
			execve(self, args, environ);
			_exit(99);
		}
		int s = wait_for(p);
		good += WIFEXITED(s) && WEXITSTATUS(s) == 7;
	}
	CHECK("50 vforks", good == 50);
	good = 0;
	for (int i = 0; i < 50; i++) {
		pid_t p;
		if (posix_spawn(&p, self, NULL, NULL, args, environ) == 0) {
			int s = wait_for(p);
			good += WIFEXITED(s) && WEXITSTATUS(s) == 7;
		}
	}
	CHECK("50 posix_spawns", good == 50);
	CHECK("failing", execl("/nonexistent", "x", (char *)NULL) == -1 && errno == ENOENT);
	CHECK("failing again", execvp("no-such-program-here", args) == -1 && errno == ENOENT);
	CHECK("system", system("exit 3") == 3 << 8);
	DONE();
}
