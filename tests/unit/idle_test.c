/* What idle threads hold goes back while they may wake at any instruction: nothing is handed out twice, nothing is lost. */
#include "heap_watch.h"

#include <sched.h>
#include <signal.h>

#include "heap/cache_slow.h"

TestSuite(idle, .init = heap_begin, .fini = no_complaints, .timeout = 240);

static volatile uint32_t over;

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	must(pthread_create(&t, NULL, fn, arg) == 0, "no thread");
	return t;
}

/* -- an idle thread's lists -- */
static pthread_barrier_t meeting;
static const size_t sizes[] = { 20, 100, 700, 3000, 9000 };
enum { EACH = 200 };

static void *makes_and_waits(void *arg)
{
	void *p[EACH];
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		for (unsigned n = 0; n < EACH; n++)
			p[n] = heap_malloc(sizes[i]);
		for (unsigned n = 0; n < EACH; n++)
			heap_free(p[n]);
	}
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	return arg;
}

Test(idle, what_a_waiting_thread_freed_serves_others_and_is_counted_as_free)
{
	struct heap_totals before, after;
	pthread_barrier_init(&meeting, NULL, 2);
	pthread_t t = start(makes_and_waits, NULL);
	pthread_barrier_wait(&meeting);
	const size_t use = heap_in_use();
	heap_totals(&before);
	cache_take_idle(true);
	heap_totals(&after);
	if (stats.lent_caches) { /* else: no membarrier here */
		must(after.live + (200 << 10) < before.live, "%zu bytes in caches, %zu before", after.live, before.live);
		must(heap_in_use() == use, "in use: %zu before, %zu after", use, heap_in_use());
	}
	pthread_barrier_wait(&meeting);
	pthread_join(t, NULL);
}

/* -- looks at threads that are busy, idle, interrupted, born and gone -- */
#define SHORT ((void *)99) /* a thread that ends soon */
enum { HOLDERS = 4, HELD = 64, LOOKS = SANITIZED ? 500 : 5000 };

static void *holding(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	struct { unsigned char *p; uint32_t size, tag; } held[HELD] = { 0 };
	const unsigned rounds = arg == SHORT ? 2000 : UINT32_MAX;
	for (unsigned round = 0; !load_relaxed(&over) && round < rounds; round++) {
		x = x * 1664525 + 1013904223;
		const unsigned i = x >> 8 & (HELD - 1);
		if (held[i].p) {
			claim(holds(held[i].p, held[i].size, held[i].tag), "a block was somebody else's too");
			heap_free(held[i].p);
			held[i].p = NULL;
		} else {
			held[i].size = 16 + (x >> 16) % ((x & 3) ? 200 : 9000);
			held[i].tag = x;
			held[i].p = heap_malloc(held[i].size);
			if (claim(held[i].p != NULL, "malloc failed"))
				fill(held[i].p, held[i].size, x);
		}
		if (x >> 24 == 7)
			usleep(x >> 16 & 127);
	}
	for (unsigned i = 0; i < HELD; i++)
		heap_free(held[i].p);
	return arg;
}

static void *born_again(void *arg)
{
	while (!load_relaxed(&over))
		pthread_join(start(holding, arg), NULL);
	return arg;
}

static volatile uint32_t standing; /* a thread is held where the signal found it, until this is 0 */
static void stands_still(int sig)
{
	(void)sig;
	for (unsigned n = 0; load_acquire(&standing) && n < 10000; n++)
		sched_yield();
	store_release(&standing, 0);
}

/* One look while t stands still somewhere. */
static void look_beside(pthread_t t, bool all)
{
	store_release(&standing, 1);
	pthread_kill(t, SIGUSR1);
	usleep(20);
	cache_take_idle(all);
	cache_take_idle(all);
	store_release(&standing, 0);
}

Test(idle, looks_at_threads_in_any_state_hand_no_slot_out_twice)
{
	pattern(0); /* before there are threads */
	signal(SIGUSR1, stands_still);
	pthread_t t[HOLDERS], b = start(born_again, SHORT);
	for (unsigned i = 0; i < HOLDERS; i++)
		t[i] = start(holding, (void *)(uintptr_t)i);
	for (unsigned n = 0; n < LOOKS && !load_relaxed(&wrongs); n++) {
		if (n & 1)
			look_beside(t[n / 2 % HOLDERS], n & 2);
		else
			cache_take_idle(n & 2);
	}
	store_relaxed(&over, 1);
	for (unsigned i = 0; i < HOLDERS; i++)
		pthread_join(t[i], NULL);
	pthread_join(b, NULL);
	no_claim_failed();
}
