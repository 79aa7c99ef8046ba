/*
 * The exec family: no stop may be in flight when a thread goes into exec.
 *
 * A signal 33 that is queued to a thread inside execve stays queued across it and, as the new image has no handler for it, kills that.
 * So each call waits for the end of a stop and keeps new ones away until it fails; when it does not fail, there is nothing left
 * to protect. The same goes for the signals that ask (control/).
 *
 * A vfork child shares our memory with its parent but is another process: a stop does not see it, and it must not touch our
 * locks. It goes straight to the real call. It is told apart by a page that says which process we are: a fork child finds
 * it wiped (MADV_WIPEONFORK) and writes its own number there; a vfork child finds the parent's number.
 *
 * posix_spawn, system and popen need no wrapper. glibc makes the child by clone(CLONE_VM|CLONE_VFORK) with every signal blocked
 * in parent and child; stop signals go to threads of our own process only, so the child's queue is empty at its exec; it
 * calls internal names, not ours; and while it runs, its parent does not answer: a cycle then ends early.
 *
 * report_on=exec: the old program's report comes before the call, when the file is there and may be executed. Should the call fail all the same
 * (not a format that the kernel knows), the program has been reported once more than it ended.
 *
 * The variadic forms gather their arguments on the stack, as glibc does: they may be called in handlers and after vfork,
 * where nothing may allocate. They end in our own execve and execvp.
 */
#include "control/control.h"
#include "heap/heap.h"
#include "os/os.h"
#include "preload/faults.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "threads/threads.h"
#include "base/text.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int *identity; /* atomic, set once: our process's number, atomic, 0 after fork */

bool identity_own(void)
{
	const int pid = os_pid();
	if (pid == 0) /* confined by a filter of system calls: nothing of ours is left to do */
		return false;
	int *id = load_acquire(&identity), known = 0;
	if (UNLIKELY(!id))
		store_release(&identity, id = heap_wiped_word());
	if (!cas(id, &known, pid))
		return known == pid;
	heap_notice_fork(); /* the first call of a child that fork's handlers did not see */
	return true;
}

/* After fork in the child: where the kernel could not wipe the page, it still says the parent's number. */
void identity_forked(void)
{
	int *id = load_acquire(&identity);
	if (id)
		store_relaxed(id, os_pid());
}

/* The first call must come from the process itself, not from a vfork child of it. */
__attribute__((constructor)) static void know_identity(void) { identity_own(); }

void (*exec_tell)(void);

/* Is there a program that execvp would find? In PATH of our environment, whatever the new one is. */
static bool findable(const char *file)
{
	char path[PATH_MAX];
	const char *folders = getenv("PATH");
	if (strchr(file, '/'))
		return os_may_execute(file);
	for (const char *at = folders ? folders : "/bin:/usr/bin";; at++) {
		const size_t n = strcspn(at, ":");
		if (text_format(path, sizeof path, "%.*s%s%s", (int)n, at, n ? "/" : "", file) < sizeof path - 1 && os_may_execute(path))
			return true;
		at += n;
		if (!*at)
			return false;
	}
}

/* path: NULL when it is a descriptor's. frame: in the wrapper's. */
static bool enter(const char *path, bool search, struct exec_frame *frame)
{
	if (!identity_own())
		return false;
	control_pause();
	if (UNLIKELY(exec_tell != NULL) && (!path || (search ? findable(path) : os_may_execute(path))))
		exec_tell();
	if (faults_wanted())
		faults_exec();
	threads_exec_enter(frame);
	return true;
}

/* exec came back: it failed. */
static int leave(bool entered, int result)
{
	int saved = errno;
	if (entered) {
		threads_exec_leave();
		control_resume();
	}
	errno = saved;
	return result;
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	struct exec_frame frame;
	bool entered = enter(path, false, &frame);
	return leave(entered, real()->execve(path, argv, envp));
}

int execv(const char *path, char *const argv[])
{
	struct exec_frame frame;
	bool entered = enter(path, false, &frame);
	return leave(entered, real()->execv(path, argv));
}

int execvp(const char *file, char *const argv[])
{
	struct exec_frame frame;
	bool entered = enter(file, true, &frame);
	return leave(entered, real()->execvp(file, argv));
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct exec_frame frame;
	bool entered = enter(file, true, &frame);
	return leave(entered, real()->execvpe(file, argv, envp));
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct exec_frame frame;
	bool entered = enter(NULL, false, &frame);
	return leave(entered, real()->fexecve(fd, argv, envp));
}

int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct exec_frame frame;
	bool entered = enter(NULL, false, &frame);
	return leave(entered, real()->execveat(dir, path, argv, envp, flags));
}

/* Arguments up to and with the NULL that ends them. */
static size_t count_arguments(va_list list)
{
	size_t n = 2; /* the first one, and NULL */
	while (va_arg(list, char *))
		n++;
	return n;
}

static void gather(char **argv, const char *first, va_list list)
{
	*argv++ = (char *)first;
	do
		*argv = va_arg(list, char *);
	while (*argv++);
}

/* A macro, as the array must live in the frame of the exported function itself. As in glibc, the first is never NULL. */
#define ARGUMENTS(argv, first, list) \
	va_list list; \
	va_start(list, first); \
	char **argv = __builtin_alloca(count_arguments(list) * sizeof *argv); \
	va_end(list); \
	va_start(list, first); \
	gather(argv, first, list)

int execl(const char *path, const char *first, ...)
{
	ARGUMENTS(argv, first, list);
	va_end(list);
	return execv(path, argv);
}

int execlp(const char *file, const char *first, ...)
{
	ARGUMENTS(argv, first, list);
	va_end(list);
	return execvp(file, argv);
}

/* The environment follows the NULL. */
int execle(const char *path, const char *first, ...)
{
	ARGUMENTS(argv, first, list);
	char *const *envp = va_arg(list, char *const *);
	va_end(list);
	return execve(path, argv, envp);
}
