/*
 * What the memory of reports is measured with (tests/integration/report_memory.sh).
 *
 *   memory measure COMMAND...   runs it and prints the maximum of its resident memory, in KiB
 *   memory freed                many small blocks, all freed before the end
 *   memory arenas               blocks full of pointers to each other, as an interpreter's arenas of values are
 *   memory inner                a table of pointers into blocks, none to a start
 *   memory interrupted USEC     malloc and free of large blocks, until a handler calls exit(3) on top of them
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 800000, ARENAS = 6000, WORDS = 500, NEAR = 40, INNER = 200000 };

static void **volatile held; /* where a program keeps what it has; read by nobody, so a compiler would leave it out */

static int measure(char **command)
{
	struct rusage u;
	int status;
	pid_t pid = fork(); /* a process begins with the maximum of the one that it was forked from: this one is small */
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &u) != pid || status)
		return 1;
	printf("%ld\n", u.ru_maxrss);
	return 0;
}

static void *block(size_t size)
{
	void *p = malloc(size);
	if (!p)
		exit(1);
	return memset(p, 0, size);
}

static void freed(void)
{
	held = block(SMALL * sizeof *held);
	for (int i = 0; i < SMALL; i++)
		held[i] = block(24);
	for (int i = 0; i < SMALL; i++)
		free(held[i]);
	free(held);
}

static void arenas(void)
{
	held = block(ARENAS * sizeof *held);
	for (int i = 0; i < ARENAS; i++)
		held[i] = block(WORDS * sizeof *held);
	for (int i = 0; i < ARENAS; i++)
		for (int j = 0; j < WORDS; j++)
			((void **)held[i])[j] = held[(i + j % NEAR) % ARENAS];
}

static void inner(void)
{
	held = block(INNER * sizeof *held);
	for (int i = 0; i < INNER; i++)
		held[i] = (char *)block(40) + 4;
}

static void leave(int unused) { exit(3); }

static void interrupted(const char *after)
{
	struct itimerval t = { .it_value.tv_usec = atoi(after) };
	signal(SIGALRM, leave);
	setitimer(ITIMER_REAL, &t, NULL);
	for (unsigned i = 1;; i++) {
		void *volatile p = malloc(300000 + i * 7919 % 2000000);
		void *volatile q = malloc(100000);
		free(p);
		free(q);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "measure") && argc > 2)
		return measure(argv + 2);
	if (!strcmp(what, "freed"))
		freed();
	else if (!strcmp(what, "arenas"))
		arenas();
	else if (!strcmp(what, "inner"))
		inner();
	else if (!strcmp(what, "interrupted") && argc > 2)
		interrupted(argv[2]);
	else
		return 2;
	return 0;
}
