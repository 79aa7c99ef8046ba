/* What the tests of the threads room share. Each test is a claim, bounded in time; Criterion gives each its own process. Nothing
 * but reads of memory happens inside a stop: what was seen is judged after the resume. */
#ifndef CGC_TESTS_THREADS_KIT_H
#define CGC_TESTS_THREADS_KIT_H
#pragma GCC diagnostic ignored "-Wunused-function" /* no test uses all of it */
#pragma GCC diagnostic ignored "-Wunused-variable"
#include "base/fault.h"
#include "base/options.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "os/os.h"
#include "threads/threads.h"

#include <alloca.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, MANY = 100 };
#else
enum { SANITIZED = 0, MANY = 500 };
#endif
#define BARE __attribute__((no_sanitize("address", "thread", "undefined")))

static size_t others = 1; /* threads of the test runner itself, this one included */
#ifdef __SANITIZE_THREAD__
static void *ends_at_once(void *arg) { return arg; }
#endif
static void begin(void)
{
	uint64_t saved;
#ifdef __SANITIZE_THREAD__ /* starts a thread of its own at the first pthread_create: it belongs to the others */
	pthread_t first;
	pthread_create(&first, NULL, ends_at_once, NULL);
	pthread_join(first, NULL);
#endif
	threads_start(0);
	heap_hooks.park = threads_park;
	threads_block_signals(&saved);
	if (threads_stop() == ABORT_NONE) {
		others = threads_count();
		threads_resume();
	}
	threads_restore_signals(saved);
}
TestSuite(threads, .init = begin, .timeout = 60);

static void nap(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* One stop, tried again while the machine is too busy for an answer in 20 ms. Signals stay blocked until resume. */
static enum abort_reason stop_within(uint64_t *saved, unsigned seconds)
{
	uint64_t end = os_now_ns() + seconds * 1000000000ull;
	enum abort_reason r;
	for (;;) {
		threads_block_signals(saved);
		r = threads_stop();
		if (r == ABORT_NONE)
			return r;
		threads_restore_signals(*saved);
		if (os_now_ns() > end)
			return r;
		nap(1000);
	}
}
static void run(uint64_t saved)
{
	threads_resume();
	threads_restore_signals(saved);
}
/* Stops and resumes `times`; result: how many came about. */
static unsigned cycle(unsigned times)
{
	unsigned done = 0;
	uint64_t saved;
	for (unsigned i = 0; i < times; i++)
		if (stop_within(&saved, 5) == ABORT_NONE) {
			run(saved);
			done++;
		}
	return done;
}
static const struct thread_root *root_of(int tid)
{
	for (size_t i = 0; i < threads_count(); i++)
		if (threads_root(i)->tid == tid)
			return threads_root(i);
	return NULL;
}
BARE static bool range_holds(struct range r, uintptr_t w)
{
	for (uintptr_t p = align_up(r.low, 8); p + 8 <= r.high; p += 8)
		if (*(volatile word_t *)p == w)
			return true;
	return false;
}
BARE static bool words_hold(const struct thread_root *t, uintptr_t w)
{
	for (unsigned i = 0; i < t->word_count; i++)
		if (t->words[i] == w)
			return true;
	return false;
}
static bool inside(struct range r, uintptr_t p) { return p >= r.low && p < r.high; }

/* -- workers -- */

struct worker {
	pthread_t thread;
	int kind;
	int tid;          /* atomic */
	uint64_t count;   /* atomic: moves while the thread runs */
};
static struct worker workers[MANY];
static int quit; /* atomic */

static void know_stack(void)
{
	pthread_attr_t a;
	void *low;
	size_t size;
	pthread_getattr_np(pthread_self(), &a);
	pthread_attr_getstack(&a, &low, &size);
	pthread_attr_destroy(&a);
	threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	know_stack();
	store_release(&w->tid, os_tid());
	while (!load_relaxed(&quit)) {
		add_relaxed(&w->count, 1);
		switch (w->kind % 3) {
		case 0:
			syscall(SYS_getppid);
			if (w->kind > 8)
				nap(20000);
			break;
		case 1:
			nap(w->kind > 8 ? 20000 : 500);
			break;
		default:
			for (volatile int i = 0; i < 1000; i++)
				;
			if (w->kind > 8)
				nap(20000); /* a crowd of spinners would only measure the scheduler */
		}
	}
	return NULL;
}
static void start_workers(int n)
{
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256 * 1024);
	for (int i = 0; i < n; i++) {
		workers[i].kind = n >= 50 ? i < 4 ? i : 9 + i % 3 : i;
		cr_assert(pthread_create(&workers[i].thread, &a, work, &workers[i]) == 0);
	}
	for (int i = 0; i < n; i++)
		while (!load_acquire(&workers[i].tid))
			sched_yield();
}
static void end_workers(int n)
{
	store_relaxed(&quit, 1);
	for (int i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
}

static uint64_t sum(int n)
{
	uint64_t s = 0;
	for (int i = 0; i < n; i++)
		s += load_relaxed(&workers[i].count);
	return s;
}

static int alive;      /* atomic: rounds of life that ended well */
static uint64_t ticks; /* atomic */
static int phase;      /* atomic */

#endif
