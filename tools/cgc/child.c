/*
 * Standing between a program and who started it, unnoticed.
 *
 *   Signals      Sent by a process (kill, a service manager), they are sent on. The terminal's (^C, ^\, hang-up) go to the whole process
 *                group, so the program has them already; the kernel marks them as its own.
 *   Job control  ^Z is ignored here and stops the program; we see that, stop too, and the shell takes its terminal back. On fg the
 *                shell continues the group; we send one more SIGCONT, for who was continued alone.
 *   The end      The program's status, or its signal raised once more without a second core.
 *
 * What was ignored when we started (nohup) stays ignored, here and in the program.
 */
#include "child.h"
#include "commands.h"
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM };
static const int left_alone[] = { SIGTSTP, SIGTTIN, SIGTTOU };
static volatile sig_atomic_t child;

static void pass_on(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (child > 0 && info->si_code != SI_KERNEL)
		kill((pid_t)child, number);
}

static void change(int number, bool pass, struct sigaction *before)
{
	struct sigaction act = { .sa_flags = SA_RESTART };
	if (pass) {
		act.sa_sigaction = pass_on;
		act.sa_flags |= SA_SIGINFO;
	} else {
		act.sa_handler = SIG_IGN;
	}
	sigaction(number, NULL, before);
	if (before->sa_handler != SIG_IGN)
		sigaction(number, &act, NULL);
}

void child_hold_signals(sigset_t *mask)
{
	sigset_t some;
	sigemptyset(&some);
	for (size_t i = 0; i < NELEM(passed_on); i++)
		sigaddset(&some, passed_on[i]);
	sigprocmask(SIG_BLOCK, &some, mask);
}

static int wait_for(pid_t pid)
{
	int status = 0;
	for (;;) {
		pid_t got = waitpid(pid, &status, WUNTRACED);
		if (got < 0 && errno == EINTR)
			continue;
		/* A plain SIGSTOP is no job control: whoever sent it will continue the program and knows nothing of us. */
		if (got == pid && WIFSTOPPED(status)) {
			if (WSTOPSIG(status) != SIGSTOP) {
				kill(getpid(), SIGSTOP);
				kill(pid, SIGCONT);
			}
			continue;
		}
		return got == pid ? status : 0; /* ECHILD: SIGCHLD was ignored when we started, the status is lost */
	}
}

int child_run(const struct program *program, char **argv, const sigset_t *mask, pid_t *pid)
{
	struct sigaction before[NELEM(passed_on)], stops[NELEM(left_alone)];
	for (size_t i = 0; i < NELEM(passed_on); i++)
		change(passed_on[i], true, &before[i]);
	for (size_t i = 0; i < NELEM(left_alone); i++)
		change(left_alone[i], false, &stops[i]);
	*pid = fork();
	if (*pid == 0) {
		for (size_t i = 0; i < NELEM(passed_on); i++)
			sigaction(passed_on[i], &before[i], NULL);
		for (size_t i = 0; i < NELEM(left_alone); i++)
			sigaction(left_alone[i], &stops[i], NULL);
		sigprocmask(SIG_SETMASK, mask, NULL);
		_exit(plan_exec(program, argv));
	}
	child = *pid;
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (*pid < 0) {
		complain("no process can be started: %s: nothing was started", strerror(errno));
		return -1;
	}
	int status = wait_for(*pid);
	child = 0; /* its number may be another's soon */
	return status;
}

int child_end_as(int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	struct rlimit none = { 0, 0 };
	sigset_t one;
	setrlimit(RLIMIT_CORE, &none); /* the program has left its core */
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

static bool nested;

/*
 * A server that root starts has workers of other users. In a folder of root's they find one that any user may write to, but whose name is
 * known from their environment alone: it is random, and nobody else may list the outer folder.
 */
static bool open_to_others(char folder[FOLDER_ROOM])
{
	uint64_t random;
	size_t n = strlen(folder);
	if (getrandom(&random, sizeof(random), 0) != sizeof(random) || chmod(folder, 0711))
		return false;
	snprintf(folder + n, FOLDER_ROOM - n, "/%016" PRIx64, random);
	nested = !mkdir(folder, 0700);
	return nested && !chmod(folder, 01733);
}

bool child_make_folder(const char *name, char folder[FOLDER_ROOM])
{
	const char *tmp = getenv("TMPDIR");
	if (!tmp || tmp[0] != '/' || strlen(tmp) > FOLDER_ROOM / 2 || strpbrk(tmp, ":, \t\n%"))
		tmp = "/tmp";
	snprintf(folder, FOLDER_ROOM, "%s/%s.XXXXXX", tmp, name);
	if (mkdtemp(folder) && (geteuid() != 0 || open_to_others(folder)))
		return true;
	complain("%s can't be made: %s: nothing was started: set TMPDIR", folder, strerror(errno));
	return false;
}

void child_remove_folder(const char *folder)
{
	char outer[FOLDER_ROOM];
	rmdir(folder);
	snprintf(outer, sizeof(outer), "%s", folder);
	char *slash = strrchr(outer, '/');
	if (nested && slash) {
		*slash = 0;
		rmdir(outer);
	}
}

FILE *child_log(const char *path, long pid)
{
	char full[600];
	size_t n = 0;
	if (!*path)
		return NULL;
	for (; *path && n < sizeof(full) - 32; path++)
		if (path[0] == '%' && path[1] == 'p') {
			n += (size_t)snprintf(full + n, sizeof(full) - n, "%ld", pid);
			path++;
		} else {
			full[n++] = *path;
		}
	full[n] = 0;
	int fd = open(full, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "a");
	if (!f && fd >= 0)
		close(fd);
	return f;
}
