/*
 * Starts a tool, one process for a whole batch: its input is a file in memory, so that nobody waits for anybody while both write.
 *
 * The tool must not be served by cgc itself, when `cgc run` has set up the environment for a program, and must not ask a server on its own
 * (llvm-symbolizer and addr2line do so where DEBUGINFOD_URLS is set).
 */
#include "tool.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NEWEST = 40, OLDEST = 3, PATH_MOST = 4096, TICK_MS = 200 };

/* A whole name of a program in the folders of PATH. */
static const char *in_path(const char *name)
{
	char path[PATH_MOST];
	const char *folders = getenv("PATH");
	for (const char *d = folders ? folders : "/usr/bin:/bin"; *d;) {
		size_t n = strcspn(d, ":");
		/* An empty element, and any relative one, would run a file of the current folder. */
		if (d[0] == '/' && snprintf(path, sizeof(path), "%.*s/%s", (int)n, d, name) < PATH_MOST && !access(path, X_OK))
			return strdup(path);
		d += n + (d[n] == ':');
	}
	return NULL;
}

const char *tool_find(const char *name)
{
	char versioned[64];
	const char *path = in_path(name);
	for (int v = NEWEST; !path && v >= OLDEST; v--) {
		snprintf(versioned, sizeof(versioned), "%s-%d", name, v);
		path = in_path(versioned);
	}
	return path;
}

static char **environment(bool network)
{
	size_t n = 0, out = 0;
	while (environ[n])
		n++;
	char **env = calloc(n + 1, sizeof(*env));
	for (size_t i = 0; env && i < n; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0 && strncmp(environ[i], "CGC_OPTIONS=", 12) != 0 &&
		    (network || strncmp(environ[i], "DEBUGINFOD_URLS=", 16) != 0))
			env[out++] = environ[i];
	return env;
}

static int input_file(const char *input, size_t size)
{
	int fd = memfd_create("cgc-input", MFD_CLOEXEC);
	for (size_t done = 0; fd >= 0 && done < size;) {
		ssize_t n = write(fd, input + done, size - done);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

static bool start(pid_t *child, const char *const argv[], int in, int out, bool network)
{
	posix_spawn_file_actions_t files;
	char **env = environment(network);
	if (!env || posix_spawn_file_actions_init(&files)) {
		free((void *)env);
		return false;
	}
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	int error = posix_spawn(child, argv[0], &files, NULL, (char **)(uintptr_t)argv, env);
	posix_spawn_file_actions_destroy(&files);
	free((void *)env);
	return !error;
}

static char *read_all(int fd)
{
	size_t n = 0, room = 64 << 10;
	char *text = malloc(room);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	if (!text)
		return NULL;
	for (;;) {
		if (n + 1 == room) {
			char *more = realloc(text, room *= 2);
			if (!more)
				break;
			text = more;
		}
		if (poll(&wait, 1, TICK_MS) == 0) {
			progress_tick();
			continue;
		}
		ssize_t got = read(fd, text + n, room - 1 - n);
		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	text[n] = 0;
	return text;
}

char *tool_run(const char *const argv[], const char *input, size_t size, bool network)
{
	int ends[2], in = input_file(input, size);
	pid_t child;
	char *answer = NULL;
	if (in < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		if (in >= 0)
			close(in);
		return NULL;
	}
	bool started = start(&child, argv, in, ends[1], network);
	close(in);
	close(ends[1]);
	if (started)
		answer = read_all(ends[0]);
	close(ends[0]);
	while (started && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
	}
	return answer;
}
