/*
 * Finds libcgc.so and proves that it loads.
 *
 * The dynamic loader only warns when a preloaded library can't be used and runs the program without it: a user would
 * believe to be protected and is not. So the command first starts itself, under the loader that the program will have
 * and with the library in LD_PRELOAD, and this second self (library_report_loaded) looks whether cgc_version is there and
 * whether `malloc` is the library's. That costs one exec of a small program, about 2 ms, and shows every reason at once:
 * wrong machine, missing symbol versions, a file system mounted noexec, an antique or foreign libc.
 */
#include "library.h"
#include "elffile.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHECK_SECONDS = 10, ANSWER_ROOM = 1024 };

bool library_self(char path[PATH_ROOM])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_ROOM - 1);
	if (n > 0) {
		path[n] = 0;
		return true;
	}
	/* Without /proc: the name that the kernel was given, which holds as long as nobody has changed directory. */
	const char *name = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
	char *real = name ? realpath(name, NULL) : NULL;
	bool ok = real && strlen(real) < PATH_ROOM;
	if (ok)
		memcpy(path, real, strlen(real) + 1);
	free(real);
	return ok;
}

bool library_find(char path[PATH_ROOM], char *tried, size_t tried_room)
{
	static const char *const beside[] = { ".", "../lib", "../lib/" CGC_MULTIARCH, "../lib64" };
	char self[PATH_ROOM], candidate[PATH_ROOM + 64];
	size_t n = 0;
	tried[0] = 0;
	bool have_self = library_self(self);
	if (have_self)
		*strrchr(self, '/') = 0; /* the kernel gives an absolute path */
	for (size_t i = 0; i <= NELEM(beside); i++) {
		if (i == NELEM(beside))
			snprintf(candidate, sizeof(candidate), "%s/libcgc.so", CGC_LIBDIR);
		else if (have_self)
			snprintf(candidate, sizeof(candidate), "%s/%s/libcgc.so", self, beside[i]);
		else
			continue;
		char *real = realpath(candidate, NULL);
		if (real && strlen(real) < PATH_ROOM && !access(real, R_OK)) {
			memcpy(path, real, strlen(real) + 1);
			free(real);
			return true;
		}
		free(real);
		int m = snprintf(tried + n, tried_room - n, "%s%s", n ? ", " : "", candidate);
		n = m > 0 && n + (size_t)m < tried_room ? n + (size_t)m : n;
	}
	return false;
}

/* Is this entry of LD_PRELOAD a libcgc.so? Another copy of us behind us would set up a second heap for nobody. */
static bool is_ours(const char *entry, size_t n)
{
	static const char name[] = "libcgc.so";
	const char *base = entry;
	for (size_t i = 0; i < n; i++)
		if (entry[i] == '/')
			base = entry + i + 1;
	return n - (size_t)(base - entry) >= sizeof(name) - 1 && !memcmp(base, name, sizeof(name) - 1);
}

/* Ours comes first: the loader takes each symbol from the first library that has it, and an allocator or wrapper that
 * stood before us would be the one to answer malloc, while we hold a heap that nobody uses. What was there stays, in its
 * order, for the symbols that we don't have. */
char *library_preload_list(const char *library, const char *before)
{
	size_t room = strlen(library) + strlen(before) + 2;
	char *list = malloc(room);
	if (!list)
		return NULL;
	size_t used = (size_t)snprintf(list, room, "%s", library);
	while (*before) {
		size_t n = strcspn(before, ": ");
		if (n && !is_ours(before, n))
			used += (size_t)snprintf(list + used, room - used, ":%.*s", (int)n, before);
		before += n + (before[n] != 0);
	}
	return list;
}

/* -- the proof -- */

int library_report_loaded(void)
{
	const char *(*version)(void) = NULL;
	void *symbol = dlsym(RTLD_DEFAULT, "cgc_version"), *ours = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info where_version, where_malloc;
	memcpy(&version, &symbol, sizeof(version));
	if (!version)
		puts("the loader left it out");
	else if (!ours || !dladdr(symbol, &where_version) || !dladdr(ours, &where_malloc) ||
	         where_version.dli_fbase != where_malloc.dli_fbase)
		puts("malloc is not the library's");
	else if (strcmp(version(), CGC_VERSION) != 0)
		printf("it is version %s and this command is " CGC_VERSION "\n", version());
	else
		puts("loaded");
	fflush(stdout);
	_exit(0); /* no exit handlers: this run is nobody's program */
}

/* The environment of the check: everything that steers the loader stays, our two variables are set for it. */
static char **check_environment(const char *library)
{
	static char preload[PATH_ROOM + 16], quiet[] = "CGC_OPTIONS=mode=off";
	size_t n = 0, out = 0;
	while (environ[n])
		n++;
	char **env = calloc(n + 3, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0 && strncmp(environ[i], "CGC_OPTIONS=", 12) != 0)
			env[out++] = environ[i];
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	env[out++] = preload;
	env[out] = quiet;
	return env;
}

/* Reads all that the child prints, or until time is over. */
static size_t read_answer(int fd, char *answer)
{
	size_t n = 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (n < ANSWER_ROOM - 1 && poll(&wait, 1, CHECK_SECONDS * 1000) > 0) {
		ssize_t got = read(fd, answer + n, ANSWER_ROOM - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	answer[n] = 0;
	return n;
}

static int start_check(pid_t *child, int out, const char *library, const char *loader)
{
	static char self[PATH_ROOM];
	char *argv[4];
	size_t n = 0;
	if (!library_self(self))
		return ENOENT;
	/* Under our own loader the plain exec is the truer check; another one is called by name. */
	struct elf_facts own;
	elf_inspect(self, &own);
	if (loader && strcmp(loader, own.interpreter) != 0)
		argv[n++] = (char *)loader;
	argv[n++] = self;
	argv[n++] = (char *)LIBRARY_LOADED_ARGUMENT;
	argv[n] = NULL;
	posix_spawn_file_actions_t files;
	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	char **env = check_environment(library);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	int error = env ? posix_spawn(child, argv[0], &files, NULL, argv, env) : ENOMEM;
	posix_spawn_file_actions_destroy(&files);
	free((void *)env);
	return error;
}

const char *library_check(const char *library, const char *loader)
{
	static char answer[ANSWER_ROOM];
	int ends[2];
	pid_t child;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return strerror(errno);
	int error = start_check(&child, ends[1], library, loader);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		snprintf(answer, sizeof(answer), "the check could not be started: %s", strerror(error));
		return answer;
	}
	size_t n = read_answer(ends[0], answer);
	close(ends[0]);
	kill(child, SIGKILL); /* it is over already, unless the library hangs */
	int status = 0;
	/* ECHILD: we were started with SIGCHLD ignored, and the kernel has reaped it. The answer decides either way. */
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!n)
		return "a program with it preloaded does not start";
	if (!strcmp(answer, "loaded\n"))
		return NULL;
	answer[strcspn(answer, "\n")] = 0; /* the loader's warning, if any, is the first line and the better reason */
	return answer;
}
