/*
 * A little of everything that makes cgc call the system, with checked results: threads that build, check, hand over and lose
 * lists, a block that grows through mremap, shared and protected memory, a pipe, sleeps, signals with a handler, fork, fork and exec. The
 * lines it prints are the same in every run. faults.sh runs it while calls fail.
 *
 * Exit status: 0, 1 a check failed, 9 no memory (said in one line).
 */
#include "kit.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 60, LENGTH = 60, MESSAGES = 200 };

struct node {
	struct node *next;
	uint64_t value, check;
	char room[40];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *shared; /* lists that one thread made and another frees */
static volatile sig_atomic_t signals;

static void fail(const char *what)
{
	fprintf(stderr, "every_call: %s\n", what);
	_exit(1);
}

static void *need(void *p)
{
	if (!p) {
		static const char line[] = "every_call: out of memory\n";
		if (write(2, line, sizeof line - 1) < 0)
			_exit(8);
		_exit(9);
	}
	return p;
}

static struct node *build(uint64_t seed)
{
	struct node *list = NULL;
	for (unsigned i = 0; i < LENGTH; i++) {
		struct node *n = need(malloc(sizeof *n + i * 16));
		n->next = list;
		n->value = seed + i;
		n->check = ~n->value;
		list = n;
	}
	return list;
}

static uint64_t sum(const struct node *list)
{
	uint64_t s = 0;
	for (; list; list = list->next) {
		if (list->check != ~list->value)
			fail("a live block was overwritten");
		s += list->value;
	}
	return s;
}

static void drop(struct node *list)
{
	for (struct node *next; list; list = next) {
		next = list->next;
		free(list);
	}
}

static void *work(void *arg)
{
	uintptr_t id = (uintptr_t)arg;
	struct node *keep = build(id), *mine = NULL;
	uint64_t total = 0;
	for (unsigned r = 0; r < ROUNDS; r++) {
		struct node *lost = build(r);
		total += sum(lost); /* and forgotten */
		mine = build(id + r);
		pthread_mutex_lock(&lock);
		struct node *theirs = shared;
		shared = mine;
		pthread_mutex_unlock(&lock);
		sum(theirs);
		drop(theirs);
	}
	if (sum(keep) != LENGTH * id + LENGTH * (LENGTH - 1) / 2)
		fail("a kept list changed");
	drop(keep);
	return (void *)(uintptr_t)total;
}

/* Two blocks in turn, so that neither can grow where it is. */
static void grow(void)
{
	uint32_t *p[2] = { NULL, NULL };
	for (size_t n = 1 << 18; n <= 8 << 18; n += 1 << 18)
		for (int i = 0; i < 2; i++) {
			p[i] = need(realloc(p[i], n * sizeof *p[i]));
			p[i][n - 1] = (uint32_t)n;
		}
	for (size_t n = 1 << 18; n <= 8 << 18; n += 1 << 18)
		if (p[0][n - 1] != n || p[1][n - 1] != n)
			fail("realloc lost contents");
	free(p[0]);
	free(p[1]);
}

/* A block of 5 MiB with another right behind it, so that it can only grow elsewhere. */
static void move(void)
{
	enum { FROM = 5 << 20, TO = 9 << 20, GUARDS = 400, GUARD = 100 << 10, NEAR = 128 << 10 };
	static void *guards[GUARDS];
	unsigned char *p = need(malloc(FROM));
	p[0] = 1;
	p[FROM - 1] = 2;
	int n = 0;
	for (bool behind = false; n < GUARDS && !behind; n++) {
		guards[n] = need(malloc(GUARD));
		behind = (uintptr_t)guards[n] - ((uintptr_t)p + FROM) < NEAR;
	}
	p = need(realloc(p, TO));
	if (p[0] != 1 || p[FROM - 1] != 2)
		fail("realloc lost contents");
	free(p);
	while (n)
		free(guards[--n]);
}

static void *echo(void *arg)
{
	int *fd = arg;
	uint64_t n, total = 0;
	while (read(fd[0], &n, sizeof n) == (ssize_t)sizeof n)
		total += n;
	return (void *)(uintptr_t)total;
}

static void through_a_pipe(void)
{
	int fd[2];
	pthread_t t;
	void *total;
	if (pipe(fd))
		fail("no pipe");
	if (pthread_create(&t, NULL, echo, fd))
		need(NULL);
	for (uint64_t i = 1; i <= MESSAGES; i++) {
		if (i % 20 == 0)
			build(i); /* lost */
		if (write(fd[1], &i, sizeof i) != (ssize_t)sizeof i)
			fail("write to a pipe");
	}
	close(fd[1]);
	pthread_join(t, &total);
	close(fd[0]);
	printf("pipe: %lu\n", (unsigned long)total);
}

static void on_signal(int sig) { signals++; }

static void handled(void)
{
	struct sigaction act = { .sa_handler = on_signal }, old;
	stack_t alt = { .ss_sp = need(malloc(16384)), .ss_size = 16384 };
	if (sigaltstack(&alt, NULL) || sigaction(SIGUSR1, &act, &old) || old.sa_handler != SIG_DFL)
		fail("sigaction");
	for (int i = 0; i < 20; i++) {
		build((uint64_t)i); /* lost */
		raise(SIGUSR1);
	}
	struct timespec nap = { 0, 2000000 };
	if (nanosleep(&nap, NULL))
		fail("nanosleep");
	sigset_t now;
	if (pthread_sigmask(SIG_SETMASK, NULL, &now))
		fail("sigmask");
	for (int s = 1; s < 32; s++)
		if (sigismember(&now, s) == 1)
			fail("a signal stays blocked");
	printf("signals: %d\n", (int)signals);
}

static void child(int how)
{
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		struct node *list = build(7);
		for (int i = 0; i < 20; i++)
			build((uint64_t)i); /* lost */
		if (how)
			execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
		_exit(sum(list) == 7 * LENGTH + LENGTH * (LENGTH - 1) / 2 ? 5 : 6);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("wait");
	printf("child: %d\n", status);
}

/* The only pointer to a list lies in shared memory. */
static void share(void)
{
	struct node **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		fail("no shared memory");
	*page = build(4);
	for (int i = 0; i < 40; i++)
		build((uint64_t)i); /* lost */
	kit_collect(1);
	printf("shared: %lu\n", (unsigned long)sum(*page));
	drop(*page);
	munmap(page, 4096);
}

/* And here on a page that cannot be read. */
static void protect(void)
{
	char *block = need(malloc(16384)), *page = (char *)(((uintptr_t)block + 4095) & ~4095ul);
	struct node **hidden = (struct node **)page;
	*hidden = build(3);
	mprotect(page, 4096, PROT_NONE);
	for (int i = 0; i < 40; i++)
		build((uint64_t)i); /* lost */
	kit_collect(1);
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	printf("protected: %lu\n", (unsigned long)sum(*hidden));
	drop(*hidden);
	free(block);
}

int main(void)
{
	pthread_t threads[THREADS];
	uint64_t total = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
			need(NULL); /* what a new thread needs is memory */
	grow();
	malloc_trim(0); /* what the threads hold is taken back */
	move();
	through_a_pipe();
	handled();
	share();
	protect();
	child(0);
	child(1);
	for (int i = 0; i < THREADS; i++) {
		void *part;
		pthread_join(threads[i], &part);
		total += (uintptr_t)part;
	}
	sum(shared);
	printf("threads: %lu\n", (unsigned long)total);
	return 0;
}
