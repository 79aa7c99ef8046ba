/*
 * A program that loses 3 blocks of 100 bytes and a list of 4 nodes in main's callees, and ends as it is told:
 *
 *   ends WAY [ARG]     return, exit, _exit, quick_exit, raise N, abort, fault N, exec PROGRAM, fork, handler N, dtor, blocked, churn, none
 *
 * What it prints, and its status, must be the same under every allocator and every option. Stale words are scrubbed before the end.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
	struct node *next;
	char rest[24];
};
static int lost_late;

__attribute__((noinline)) static void lose(int count, size_t size)
{
	for (int i = 0; i < count; i++) {
		void *volatile p = malloc(size);
		if (!p)
			abort();
		memset(p, 0, size);
	}
}

__attribute__((noinline)) static void lose_list(int count)
{
	struct node *volatile head = NULL;
	for (int i = 0; i < count; i++) {
		struct node *n = malloc(sizeof *n);
		if (!n)
			abort();
		*n = (struct node){ .next = head };
		head = n;
	}
}

__attribute__((noinline)) static void scrub(void)
{
	volatile char stack[16384];
	for (size_t i = 0; i < sizeof stack; i++)
		stack[i] = 0;
#if defined(__x86_64__)
	__asm__ volatile("xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d\n\t"
	                 "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1" ::: "r8", "r9", "r10", "r11", "xmm0", "xmm1", "memory");
#endif
}

/* What is lost in an exit handler and in a destructor counts; so does what they print. */
static void late(void)
{
	if (!lost_late)
		return;
	printf("late\n");
	lose(1, 1000);
	scrub();
}
__attribute__((destructor)) static void latest(void)
{
	if (!lost_late)
		return;
	printf("latest\n");
	lose(1, 2000);
	scrub();
}

static void on_signal(int number)
{
	static const char text[] = "handled\n";
	if (write(1, text, sizeof text - 1) < 0)
		_exit(99);
	signal(number, SIG_DFL);
	raise(number);
}

static void *reader(void *arg)
{
	int *pipes = arg;
	if (pipe(pipes) != 0)
		return NULL;
	FILE *f = fdopen(pipes[0], "r");
	getc(f); /* for ever, with the lock of the stream */
	return NULL;
}

/* A signal for the main thread, while that allocates. */
static void *killer(void *arg)
{
	usleep(30000);
	pthread_kill(*(pthread_t *)arg, SIGTERM);
	return NULL;
}

static void churn(void)
{
	static void *held[256];
	static pthread_t self;
	pthread_t t;
	self = pthread_self();
	pthread_create(&t, NULL, killer, &self);
	for (unsigned i = 0;; i++) {
		free(held[i % 256]);
		held[i % 256] = malloc(i * 7919 % 5000);
	}
}

static void child_loses(void)
{
	pid_t child = fork();
	if (child == 0) {
		lose(2, 300);
		scrub();
		exit(0);
	}
	waitpid(child, NULL, 0);
	child = fork();
	if (child == 0)
		exit(0);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "return";
	const int number = argc > 2 ? atoi(argv[2]) : 0;
	atexit(late);
	printf("begin\n");
	if (strcmp(way, "none") != 0) {
		lose(3, 100);
		lose_list(4);
	}
	scrub();
	printf("end\n"); /* stays in the buffer unless it is a terminal */
	if (strcmp(way, "exit") == 0)
		exit(5);
	if (strcmp(way, "dtor") == 0) {
		lost_late = 1;
		return 5;
	}
	if (strcmp(way, "fork") == 0) {
		fflush(stdout);
		child_loses();
	}
	if (strcmp(way, "blocked") == 0) {
		static int pipes[2];
		pthread_t t;
		pthread_create(&t, NULL, reader, pipes);
		usleep(100000);
	}
	if (strcmp(way, "return") == 0 || strcmp(way, "none") == 0 || strcmp(way, "blocked") == 0 || strcmp(way, "fork") == 0)
		return 5;
	fflush(stdout);
	if (strcmp(way, "_exit") == 0)
		_exit(5);
	if (strcmp(way, "quick_exit") == 0)
		quick_exit(5);
	if (strcmp(way, "raise") == 0)
		raise(number);
	if (strcmp(way, "churn") == 0)
		churn();
	if (strcmp(way, "abort") == 0)
		abort();
	if (strcmp(way, "fault") == 0)
		*(volatile int *volatile)(uintptr_t)number = 1;
	if (strcmp(way, "handler") == 0) {
		signal(number, on_signal);
		raise(number);
	}
	if (strcmp(way, "exec") == 0 && argc > 2)
		execvp(argv[2], argv + 2);
	return 6;
}
