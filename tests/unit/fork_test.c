/*
 * fork while other threads are anywhere in malloc and free. The child has one thread: it must be able to allocate, to free
 * what vanished threads held, and to find every lock free. Children say how they fared by exit status, and an alarm
 * bounds each: a lock left taken shows as a hang.
 */
#include "heap_watch.h"

#include "heap/cache_slow.h"

#include <sys/wait.h>

TestSuite(fork, .init = heap_begin, .fini = no_complaints, .timeout = 120);

static bool stop_busy;
static void *busy_thread(void *arg)
{
	uint64_t n = (uintptr_t)arg * 31 + 7;
	void *held[300] = { 0 };
	while (!load_relaxed(&stop_busy)) {
		void **h = &held[noise(&n) % NELEM(held)];
		heap_free(*h);
		size_t size = noise(&n) % (noise(&n) % 50 ? 600 : 150000);
		*h = heap_malloc(size);
		if (claim(*h != NULL, "malloc failed beside forks"))
			memset(*h, 0x55, size < 64 ? size : 64);
	}
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
	heap_thread_exit();
	return NULL;
}

/* A thread that holds blocks at known places and then sleeps through every fork, its cache alive. */
enum { HELD = 4000 };
static void *held_by_sleeper[HELD];
static pthread_barrier_t gate;
static void *sleeper(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < HELD; i++)
		fill(held_by_sleeper[i] = heap_malloc(88), 88, i);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < HELD; i++) {
		claim(holds(held_by_sleeper[i], 88, i), "the child wrote into its parent");
		heap_free(held_by_sleeper[i]);
	}
	heap_thread_exit();
	return NULL;
}

enum { CHILD_FINE = 0, CHILD_NO_MEMORY = 10, CHILD_TWICE, CHILD_CONTENTS, CHILD_OWNER, CHILD_COMPLAINT, CHILD_LIST };

static bool accept_all(struct span *s, uint32_t slot) { (void)s, (void)slot; return true; }

/* What a child tries; no Criterion call in here. */
static int life_of_a_child(void)
{
	static void *p[6000];
	uint64_t n = 99;
	for (uint32_t i = 0; i < span_count(); i++) {
		struct span *s = &arena.spans[i];
		struct cache *owner = load_relaxed(&s->owner);
		if (s->kind == SPAN_SMALL && owner && owner != self.cache)
			return CHILD_OWNER;
	}
	if (!heap_each_cached(accept_all))
		return CHILD_LIST;
	for (unsigned i = 0; i < HELD; i++)
		if (held_by_sleeper[i] && !ledger_take(held_by_sleeper[i]))
			return CHILD_TWICE;
	for (unsigned i = 0; i < NELEM(p); i++) {
		size_t size = i % 3 ? 88 : noise(&n) % 3000;
		if (!(p[i] = heap_malloc(size)))
			return CHILD_NO_MEMORY;
		if (!ledger_take(p[i]))
			return CHILD_TWICE;
		memset(p[i], 0x99, size);
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held_by_sleeper[i]) {
			if (!holds(held_by_sleeper[i], 88, i))
				return CHILD_CONTENTS;
			ledger_give(held_by_sleeper[i]);
			heap_free(held_by_sleeper[i]);
		}
	for (unsigned i = 0; i < NELEM(p); i += 2) {
		ledger_give(p[i]);
		heap_free(p[i]);
	}
	for (unsigned i = 0; i < NELEM(p); i += 2)
		if (!(p[i] = heap_malloc(88)) || !ledger_take(p[i]))
			return CHILD_TWICE;
	void *large = heap_malloc(3u << 20);
	if (!large)
		return CHILD_NO_MEMORY;
	heap_free(large);
	for (unsigned i = 0; i < NELEM(p); i++)
		heap_free(p[i]);
	heap_thread_exit();
	heap_purge(true);
	if (!heap_malloc(10))
		return CHILD_NO_MEMORY;
	return load_relaxed(&seen.misuse) || load_relaxed(&seen.evidence) ? CHILD_COMPLAINT : CHILD_FINE;
}

static pid_t fork_heap(void)
{
	pid_t child = fork();
	if (child == 0) {
		heap_fork_child();
		alarm(20);
	}
	return child;
}
static void child_was_fine(pid_t child)
{
	int status = 0;
	must(child > 0, "fork failed");
	must(waitpid(child, &status, 0) == child, "waitpid failed");
	must(WIFEXITED(status), "the child died of signal %d%s", WTERMSIG(status), WTERMSIG(status) == 14 ? " (it hung)" : "");
	must(WEXITSTATUS(status) == CHILD_FINE, "the child ended with %d", WEXITSTATUS(status));
}

Test(fork, child_of_a_single_thread_allocates)
{
	ledger_open();
	void *mine = heap_malloc(88);
	memset(mine, 0x42, 88);
	pid_t child = fork_heap();
	if (child == 0) {
		int verdict = life_of_a_child();
		if (!all_bytes(mine, 88, 0x42))
			verdict = CHILD_CONTENTS;
		heap_free(mine);
		_exit(verdict);
	}
	child_was_fine(child);
	cr_assert(all_bytes(mine, 88, 0x42));
	heap_free(mine);
}

Test(fork, children_of_busy_threads_allocate_and_free_what_vanished_threads_held)
{
	pthread_t t[3];
	pthread_t s;
	pattern(0);
	ledger_open();
	pthread_barrier_init(&gate, NULL, 2);
	must(pthread_create(&s, NULL, sleeper, NULL) == 0, "no thread");
	pthread_barrier_wait(&gate);
	for (uintptr_t i = 0; i < NELEM(t); i++)
		must(pthread_create(&t[i], NULL, busy_thread, (void *)i) == 0, "no thread");
	for (unsigned i = 0; i < (SANITIZED ? 15 : 60); i++) {
		usleep(i * 37 % 2000);
		pid_t child = fork_heap();
		if (child == 0)
			_exit(life_of_a_child());
		void *p = heap_malloc(500);
		must(p, "the parent cannot allocate after a fork");
		heap_free(p);
		child_was_fine(child);
	}
	store_relaxed(&stop_busy, true);
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	pthread_barrier_wait(&gate);
	pthread_join(s, NULL);
	no_claim_failed();
}

Test(fork, grandchildren_allocate_too)
{
	pthread_t t;
	pattern(0);
	ledger_open();
	must(pthread_create(&t, NULL, busy_thread, NULL) == 0, "no thread");
	for (unsigned i = 0; i < 5; i++) {
		usleep(500);
		pid_t child = fork_heap();
		if (child == 0) {
			heap_free(heap_malloc(88));
			pid_t grandchild = fork_heap();
			if (grandchild == 0)
				_exit(life_of_a_child());
			int status;
			waitpid(grandchild, &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
		}
		child_was_fine(child);
	}
	store_relaxed(&stop_busy, true);
	pthread_join(t, NULL);
	no_claim_failed();
}

Test(fork, the_childs_memory_is_bounded_over_generations)
{
	/* Each generation abandons the caches of the last; their slots must be found again. */
	ledger_open();
	size_t first = 0;
	for (unsigned generation = 0; generation < 12; generation++) {
		static void *p[2000];
		for (unsigned i = 0; i < NELEM(p); i++)
			p[i] = heap_malloc(100 + i % 50);
		for (unsigned i = 0; i < NELEM(p); i++)
			heap_free(p[i]);
		if (generation == 3)
			first = mapped_bytes();
		pid_t child = fork_heap();
		if (child > 0) { /* the elder hands on what its heir says */
			int status = 0;
			waitpid(child, &status, 0);
			if (generation == 0) {
				must(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FINE, "an heir ended with %x", status);
				return;
			}
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
		}
	}
	_exit(mapped_bytes() == first ? life_of_a_child() : CHILD_NO_MEMORY);
}

/* -- threads that vanish at one certain instruction -- */

enum { RARE = 5000 }; /* a class that nothing else here uses */
static pthread_barrier_t cut;
static struct span *in_hand;

/* Stands still, busy, while the main thread forks. */
static void vanish(void)
{
	pthread_barrier_wait(&cut);
	pthread_barrier_wait(&cut);
}

static void *cut_before_publishing(void *arg)
{
	(void)arg;
	heap_free(heap_malloc(24));
	busy_enter();
	in_hand = span_fresh(class_of(RARE), self.cache);
	uint32_t *entry = &arena.page_map[(in_hand->start - arena.base) >> PAGE_SHIFT];
	uint32_t index = *entry;
	*entry = SPAN_SENTINEL; /* span_fresh, just before its last line */
	vanish();
	*entry = index;
	span_list_add(in_hand, self.cache, LIST_AVAIL);
	busy_leave();
	heap_thread_exit();
	return NULL;
}

static void *cut_while_releasing(void *arg)
{
	uint8_t *first = &in_hand->state[0];
	(void)arg;
	heap_free(heap_malloc(24));
	busy_enter();
	lock_take(&caches_lock);
	span_list_remove(in_hand, NULL);
	must(*first == STATE_RECYCLED, "the test's span is not what it should be");
	store_relaxed(first, STATE_FREE); /* span_release, in its loop */
	vanish();
	store_relaxed(first, STATE_RECYCLED);
	span_list_abandon(in_hand);
	lock_drop(&caches_lock);
	busy_leave();
	heap_thread_exit();
	return NULL;
}

static void fork_while(void *(*fn)(void *))
{
	pthread_t t;
	pthread_barrier_init(&cut, NULL, 2);
	must(pthread_create(&t, NULL, fn, NULL) == 0, "no thread");
	pthread_barrier_wait(&cut);
	pid_t child = fork_heap();
	if (child == 0) {
		void *p[200];
		for (unsigned i = 0; i < NELEM(p); i++)
			if (!(p[i] = heap_malloc(RARE)))
				_exit(CHILD_NO_MEMORY);
		for (unsigned i = 0; i < NELEM(p); i++)
			heap_free(p[i]);
		_exit(load_relaxed(&seen.misuse) || load_relaxed(&seen.evidence) ? CHILD_COMPLAINT : CHILD_FINE);
	}
	pthread_barrier_wait(&cut);
	pthread_join(t, NULL);
	child_was_fine(child);
}

Test(fork, a_span_on_its_way_into_the_page_map_serves_the_child)
{
	fork_while(cut_before_publishing);
}

Test(fork, a_span_on_its_way_out_does_not_keep_the_childs_refill_for_ever)
{
	void *p = heap_malloc(RARE);
	in_hand = span_of(p);
	for (unsigned i = 1; i < in_hand->slots; i++)
		heap_malloc(RARE);
	heap_advance_stamp();
	for (uint32_t i = 0; i < in_hand->slots; i++)
		must(heap_condemn(&in_hand->state[i]), "not condemned");
	heap_advance_stamp();
	for (uint32_t i = 0; i < in_hand->slots; i++)
		must(heap_recycle(in_hand, i, &in_hand->state[i], false), "not recycled");
	/* Nobody's, as after its owner's end, and not yet given back. */
	span_list_remove(in_hand, self.cache);
	store_relaxed(&in_hand->owner, NULL);
	span_list_abandon(in_hand);
	fork_while(cut_while_releasing);
}
