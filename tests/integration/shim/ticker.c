/*
 * A collector without a heap: a thread that stops and resumes all others once a millisecond. Linked with the rooms and (or,
 * for the counter-test, without) the wrappers into a library that is preloaded: every call that a stop can disturb is then
 * disturbed many times, and nothing else is different from the plain program.
 *
 * TICK_US: another interval, in microseconds.
 *
 * A forked child gets a ticker of its own, so that its exec meets stops.
 */
#include "heap/self.h"
#include "os/os.h"
#include "threads/threads.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t between_stops = PTHREAD_MUTEX_INITIALIZER;
static uint64_t stops, interval = 1000000;
static int (*real_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static void *tick(void *unused)
{
	for (;;) {
		uint64_t mask;
		pthread_mutex_lock(&between_stops);
		threads_block_signals(&mask);
		if (threads_stop() == ABORT_NONE) {
			threads_resume();
			stops++;
		}
		/* stays blocked: a signal of the program must never be delivered here */
		pthread_mutex_unlock(&between_stops);
		os_sleep_ns(interval);
	}
	return NULL;
}

static void start_ticker(void)
{
	pthread_t t;
	uint64_t mask;
	threads_block_signals(&mask);
	real_create(&t, NULL, tick, NULL);
	pthread_detach(t);
	threads_restore_signals(mask);
}

static void fork_prepare(void) { pthread_mutex_lock(&between_stops); }
static void fork_parent(void) { pthread_mutex_unlock(&between_stops); }
static void fork_child(void)
{
	threads_forked();
	pthread_mutex_unlock(&between_stops);
	start_ticker();
}

__attribute__((visibility("default"))) uint64_t ticker_stops(void);
uint64_t ticker_stops(void) { return stops; }

__attribute__((constructor)) static void begin(void)
{
	real_create = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
	const char *us = getenv("TICK_US");
	if (us)
		interval = strtoull(us, NULL, 10) * 1000;
	threads_start(0);
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	start_ticker();
}
