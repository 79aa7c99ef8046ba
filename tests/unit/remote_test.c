/* Caches between threads: remote frees, abandoned spans and their adoption, exits, and a hammer on all of it at once. */
#include "heap_watch.h"

#include "heap/cache_slow.h"

TestSuite(remote, .init = heap_begin, .fini = no_complaints, .timeout = 240);

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	must(pthread_create(&t, NULL, fn, arg) == 0, "no thread");
	return t;
}
static void run(void *(*fn)(void *), void *arg) { pthread_join(start(fn, arg), NULL); }

/* -- one makes, another frees -- */
enum { RING = 1024, PASSED = SANITIZED ? 60000 : 300000 };
struct parcel { uint32_t size, seed; uint8_t bytes[]; };
static struct parcel *ring[RING];
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ring_moved = PTHREAD_COND_INITIALIZER;
static unsigned ring_head, ring_tail;

static struct parcel *wrap(size_t size, uint32_t seed)
{
	struct parcel *p = heap_malloc(sizeof *p + size);
	if (!claim(p != NULL, "malloc failed"))
		return NULL;
	p->size = (uint32_t)size;
	p->seed = seed;
	fill(p->bytes, size, seed);
	return p;
}
static void unwrap(struct parcel *p)
{
	claim(holds(p->bytes, p->size, p->seed), "contents changed on the way");
	heap_free(p);
}

static void *producing(void *arg)
{
	uint64_t n = (uintptr_t)arg + 5;
	for (unsigned i = 0; i < PASSED; i++) {
		struct parcel *p = wrap(noise(&n) % (i % 64 ? 300 : 20000), i);
		pthread_mutex_lock(&ring_lock);
		while (ring_head - ring_tail == RING)
			pthread_cond_wait(&ring_moved, &ring_lock);
		ring[ring_head++ % RING] = p;
		pthread_cond_broadcast(&ring_moved);
		pthread_mutex_unlock(&ring_lock);
	}
	heap_thread_exit();
	return NULL;
}
static void *consuming(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < PASSED; ) {
		struct parcel *taken[64];
		unsigned count = 0;
		pthread_mutex_lock(&ring_lock);
		while (ring_head == ring_tail)
			pthread_cond_wait(&ring_moved, &ring_lock);
		while (ring_head != ring_tail && count < NELEM(taken) && i + count < PASSED)
			taken[count++] = ring[ring_tail++ % RING];
		pthread_cond_broadcast(&ring_moved);
		pthread_mutex_unlock(&ring_lock);
		i += count;
		while (count)
			unwrap(taken[--count]);
	}
	heap_thread_exit();
	return NULL;
}

Test(remote, blocks_freed_by_a_consumer_come_back_to_the_producer)
{
	pattern(0);
	size_t before = live_bytes();
	pthread_t t[4] = { start(producing, (void *)1), start(producing, (void *)2), start(consuming, NULL), start(consuming, NULL) };
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	no_claim_failed();
	cr_assert_leq(mapped_bytes(), 128u << 20, "the heap grew to %zu: remote frees are not reused", mapped_bytes());
	cr_assert_gt(stats.remote_frees, 0);
	size_t now = live_bytes();
	cr_assert_leq(now, before + (2u << 20), "%zu bytes are left over", now - before);
}

/* -- abandoned spans -- */
enum { LEFT = 3000 };
static void *left[LEFT];
static size_t left_size = 72;
static void *allocating(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < LEFT; i++)
		fill(left[i] = heap_malloc(left_size), left_size, i);
	heap_thread_exit();
	return NULL;
}

Test(remote, thread_exit_returns_cached_slots)
{
	heap_free(heap_malloc(left_size));
	heap_thread_exit();
	size_t before = live_bytes();
	run(allocating, NULL);
	size_t bytes = 0;
	for (unsigned i = 0; i < LEFT; i++)
		bytes += span_of(left[i])->block;
	cr_assert_eq(live_bytes() - before, bytes, "live counts %zu for %u blocks, %zu bytes", live_bytes() - before, LEFT, bytes);
	for (unsigned i = 0; i < LEFT; i++)
		heap_free(left[i]);
}

Test(remote, abandoned_spans_that_others_emptied_go_back_by_purge)
{
	/* Nobody may ever allocate this class again, so adoption alone would keep a whole burst of threads for good. */
	heap_free(heap_malloc(left_size));
	heap_thread_exit();
	size_t before = live_bytes();
	run(allocating, NULL);
	for (unsigned i = 0; i < LEFT; i++)
		heap_free(left[i]);
	heap_purge(true);
	cr_assert_leq(live_bytes(), before + PAGE, "%zu bytes stay after remote frees", live_bytes() - before);
}

Test(remote, blocks_outlive_their_thread)
{
	run(allocating, NULL);
	for (unsigned i = 0; i < LEFT; i++) {
		must(load_acquire(&span_of(left[i])->owner) == NULL, "a span is owned by a thread that is gone");
		must(holds(left[i], left_size, i), "contents went with the thread");
	}
	for (unsigned i = 0; i < LEFT; i++)
		heap_free(left[i]);
}

Test(remote, remote_free_of_an_abandoned_span_is_adopted_once)
{
	run(allocating, NULL);
	struct span *s = span_of(left[0]);
	uint64_t adopted = stats.adopted_spans;
	for (unsigned i = 0; i < LEFT; i += 2)
		heap_free(left[i]);
	ledger_open();
	for (unsigned i = 1; i < LEFT; i += 2)
		ledger_take(left[i]);
	unsigned reused = 0;
	static void *got[6 * LEFT];
	for (unsigned i = 0; i < NELEM(got); i++) {
		got[i] = heap_malloc(left_size);
		must(ledger_take(got[i]), "an address was handed out twice");
		reused += span_of(got[i]) == s;
	}
	cr_assert_gt(reused, 0, "the abandoned span was never used again");
	cr_assert_eq(load_relaxed(&s->owner), self.cache);
	cr_assert_gt(stats.adopted_spans, adopted);
	cr_assert_leq(stats.adopted_spans - adopted, LEFT * 80 / PAGE + 5, "adopted %zu times", (size_t)(stats.adopted_spans - adopted));
	for (unsigned i = 1; i < LEFT; i += 2)
		must(holds(left[i], left_size, i), "adoption touched a block");
	for (unsigned i = 1; i < LEFT; i += 2)
		heap_free(left[i]);
	for (unsigned i = 0; i < NELEM(got); i++)
		heap_free(got[i]);
}

static pthread_barrier_t gate;
static void *adopting(void *arg)
{
	void **got = arg;
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < LEFT; i++) {
		got[i] = heap_malloc(left_size);
		claim(ledger_take(got[i]), "two adopters got one address");
	}
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < LEFT; i++) {
		ledger_give(got[i]);
		heap_free(got[i]);
	}
	heap_thread_exit();
	return NULL;
}
Test(remote, adopters_that_race_share_no_span)
{
	static void *got[4][LEFT];
	pthread_barrier_init(&gate, NULL, 4);
	ledger_open();
	for (unsigned round = 0; round < 10; round++) {
		run(allocating, NULL);
		for (unsigned i = 0; i < LEFT; i++)
			heap_free(left[i]);
		pthread_t t[4];
		for (unsigned i = 0; i < 4; i++)
			t[i] = start(adopting, got[i]);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	}
	no_claim_failed();
}

/* Frees of abandoned blocks that race with the adoption itself. */
static void *freeing_left(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < LEFT; i++)
		heap_free(left[i]);
	heap_thread_exit();
	return NULL;
}
static void *adopting_meanwhile(void *arg)
{
	static void *got[LEFT];
	(void)arg;
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < LEFT; i++)
		claim(memset(got[i] = heap_malloc(left_size), 0xC3, left_size) != NULL, "malloc");
	for (unsigned i = 0; i < LEFT; i++) {
		claim(all_bytes(got[i], left_size, 0xC3), "two holders of one block");
		heap_free(got[i]);
	}
	heap_thread_exit();
	return NULL;
}
Test(remote, frees_that_race_with_adoption_lose_nothing)
{
	size_t before = 0;
	pthread_barrier_init(&gate, NULL, 2);
	for (unsigned round = 0; round < 40; round++) {
		run(allocating, NULL);
		pthread_t a = start(freeing_left, NULL), b = start(adopting_meanwhile, NULL);
		pthread_join(a, NULL);
		pthread_join(b, NULL);
		if (round == 9)
			before = live_bytes();
	}
	no_claim_failed();
	cr_assert_leq(live_bytes(), before + (256u << 10), "spans get lost: live went from %zu to %zu", before, live_bytes());
}

/* -- many threads, one after the other -- */
static void *short_life(void *arg)
{
	uint64_t n = (uintptr_t)arg + 1;
	void *held[100];
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(noise(&n) % 5000);
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
	heap_thread_exit();
	return NULL;
}
Test(remote, a_thousand_short_threads_do_not_grow_the_heap)
{
	struct heap_totals warm, end;
	for (uintptr_t i = 0; i < 1000; i++) {
		run(short_life, (void *)i);
		if (i == 49)
			heap_totals(&warm);
	}
	heap_totals(&end);
	cr_assert_leq(end.live, warm.live + (64u << 10), "live went from %zu to %zu", warm.live, end.live);
	cr_assert_eq(end.mapped, warm.mapped);
	cr_assert_leq(end.metadata, warm.metadata + (64u << 10), "metadata went from %zu to %zu", warm.metadata, end.metadata);
}

/* libc frees a thread's last blocks after every destructor has run: nobody would end a cache made then. */
static void *frees_after_its_end(void *arg)
{
	(void)arg;
	void *p = heap_malloc(100);
	heap_thread_exit();
	heap_free(p);
	return NULL;
}
Test(remote, a_free_after_thread_exit_leaves_no_cache_behind)
{
	struct heap_totals warm, end;
	for (unsigned i = 0; i < 1000; i++) {
		run(frees_after_its_end, NULL);
		if (i == 49)
			heap_totals(&warm);
	}
	heap_totals(&end);
	cr_assert_leq(end.metadata, warm.metadata + (64u << 10), "metadata went from %zu to %zu", warm.metadata, end.metadata);
}

/* Each thread leaves blocks to the next, which checks and frees half of them and passes the rest on. */
static struct parcel *handed[1200];
static void *link_of_chain(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	for (unsigned i = 0; i < NELEM(handed); i++) {
		if (handed[i] && (i + me) % 2)
			continue;
		if (handed[i])
			unwrap(handed[i]);
		handed[i] = wrap((i % 3 == 0 ? 20 : i % 3 == 1 ? 130 : 3000) + me, me * 31 + i);
	}
	heap_thread_exit();
	return NULL;
}
Test(remote, spans_travel_through_a_chain_of_threads)
{
	size_t before = live_bytes();
	for (uintptr_t i = 0; i < 40; i++)
		run(link_of_chain, (void *)i);
	for (unsigned i = 0; i < NELEM(handed); i++)
		unwrap(handed[i]);
	no_claim_failed();
	heap_thread_exit();
	cr_assert_leq(live_bytes(), before + (4u << 20), "%zu bytes got lost in the chain", live_bytes() - before);
	cr_assert_leq(mapped_bytes(), 128u << 20);
}

/* -- inboxes -- */
/* A span stands in an inbox exactly while `queued` is set: else a second note links it twice, and a drain of the one inbox
 * runs on through the other, or in a circle. */
static void inbox_is_sound(void)
{
	uint32_t steps = 0;
	for (uint32_t i = load_acquire(&self.cache->inbox); i; i = arena.spans[i].inbox_next) {
		must(load_acquire(&arena.spans[i].queued), "span %u stands in an inbox, but its queued is clear", i);
		must(++steps <= span_count(), "the inbox is a circle");
	}
}
static void *other_classes(void *arg)
{
	void *held[64];
	(void)arg;
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(1000 + i * 500);
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
	heap_thread_exit();
	return NULL;
}
Test(remote, a_span_that_is_released_while_queued_does_not_break_inboxes)
{
	/* A remote free pushes its slot and then notifies; the owner may absorb the slot in between. Then the note stands for
	   nothing, and all blocks of the span can be freed and the span released while it is in the inbox. */
	static void *held[4000];
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(100);
	for (unsigned i = 0; i < NELEM(held); i += 300)
		span_notify(span_of(held[i]));
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
	heap_purge(true);
	inbox_is_sound();
	run(other_classes, NULL);
	inbox_is_sound();
}

/* -- the hammer: 8 threads, every call, blocks exchanged through a common board -- */
enum { HAMMERS = 8, BOARD = 512, OWN = 200, BLOWS = SANITIZED ? 40000 : 250000 };
static struct parcel *board[BOARD];
static uint64_t deadline;
static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static void check(struct parcel *p) { claim(holds(p->bytes, p->size, p->seed), "contents changed under the hammer"); }
static void drop(struct parcel *p)
{
	if (!p)
		return;
	check(p);
	claim(ledger_give(p), "a held block was not in the ledger");
	heap_free(p);
}
static struct parcel *make(uint64_t *n)
{
	uint64_t r = noise(n);
	size_t size = r % 100 ? r % 1024 : r % 1000 ? r % 30000 : r % 300000;
	struct parcel *p;
	switch (r >> 60) {
	case 0:
		p = heap_calloc(1, sizeof *p + size);
		claim(p && all_bytes(p, sizeof *p + size, 0), "calloc is dirty");
		break;
	case 1:
		p = heap_aligned((size_t)16 << (r >> 50) % 9, sizeof *p + size);
		claim(p && ((uintptr_t)p & (((uintptr_t)16 << (r >> 50) % 9) - 1)) == 0, "aligned is not");
		break;
	default:
		p = heap_malloc(sizeof *p + size);
	}
	if (!claim(p != NULL, "no memory"))
		return NULL;
	claim(ledger_take(p), "an address was handed out twice at once");
	p->size = (uint32_t)size;
	p->seed = (uint32_t)(r >> 32);
	fill(p->bytes, size, p->seed);
	return p;
}
static struct parcel *resize(struct parcel *p, uint64_t *n)
{
	size_t size = noise(n) % 2000, kept = size < p->size ? size : p->size;
	uint32_t seed = p->seed;
	claim(ledger_give(p), "a held block was not in the ledger");
	p = heap_realloc(p, sizeof *p + size);
	claim(p && ledger_take(p), "realloc gave what another holds");
	claim(holds(p->bytes, kept, seed), "realloc lost contents");
	p->size = (uint32_t)size;
	fill(p->bytes, size, seed);
	return p;
}
static void *hammering(void *arg)
{
	uint64_t n = ((uintptr_t)arg + 1) * 7919;
	struct parcel *own[OWN] = { 0 };
	for (unsigned i = 0; i < BLOWS && !load_relaxed(&wrongs); i++) {
		uint64_t r = noise(&n);
		struct parcel **o = &own[r % OWN];
		switch ((r >> 32) % 8) {
		case 0:
			*o = __atomic_exchange_n(&board[(r >> 40) % BOARD], *o, __ATOMIC_ACQ_REL);
			break;
		case 1:
			if (*o)
				*o = resize(*o, &n);
			break;
		default:
			drop(*o);
			*o = make(&n);
		}
		if (i % 256 == 0 && now_ns() > deadline)
			break;
		if (i % 20000 == 19999)
			heap_thread_exit(); /* its spans are abandoned while it runs on */
	}
	for (unsigned i = 0; i < OWN; i++)
		drop(own[i]);
	heap_thread_exit();
	return NULL;
}
Test(remote, hammer_of_eight_threads_keeps_every_block_whole)
{
	pattern(0);
	ledger_open();
	size_t before = live_bytes();
	deadline = now_ns() + 2000000000u;
	pthread_t t[HAMMERS];
	for (uintptr_t i = 0; i < HAMMERS; i++)
		t[i] = start(hammering, (void *)i);
	for (unsigned i = 0; i < HAMMERS; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < BOARD; i++)
		drop(board[i]);
	heap_thread_exit();
	no_claim_failed();
	cr_assert_leq(live_bytes(), before + (8u << 20), "%zu bytes are left of everything freed", live_bytes() - before);
}

/* -- notes -- */

/* Caches that take turns on one thread, so that each step comes when the test says. */
static struct cache *turn(struct cache *c)
{
	struct cache *before = self.cache;
	self.cache = c;
	return before;
}

Test(remote, a_note_that_lies_with_a_former_owner_hides_no_later_free)
{
	enum { SIZE = 3000, MOST = 64 };
	void *p[MOST];
	struct cache *idle, *next;
	/* The first owner fills a span; another thread frees one slot of it: the span's note lies in the first owner's inbox,
	 * and stays there, for that thread allocates no more. */
	p[0] = heap_malloc(SIZE);
	struct span *s = span_of(p[0]);
	for (unsigned i = 1; i < s->slots; i++)
		must(i < MOST && span_of(p[i] = heap_malloc(SIZE)) == s, "the class does not fill its span in order");
	while (heap_malloc(SIZE) && s->list != LIST_FULL) {
	}
	idle = turn(&empty_cache);
	heap_free(heap_malloc(SIZE)); /* the second thread's cache is born */
	heap_free(p[0]);
	must(load_relaxed(&s->queued) == 1, "no note was left");
	/* A stop receives the slot and takes the span away from its owner. The second thread adopts it, takes its slot, and ends. */
	heap_collect_empty();
	heap_disown(s);
	must(s->list == LIST_READY, "the span was not given up");
	for (unsigned tries = 0; load_relaxed(&s->owner) != self.cache || s->free; tries++)
		must(heap_malloc(SIZE) && tries < 100, "the span was not adopted");
	while (self.cache->bins[s->class].alloc) /* what the refill took of it is the program's */
		heap_malloc(SIZE);
	while (s->list != LIST_FULL)
		heap_malloc(SIZE);
	heap_thread_exit();
	must(!load_relaxed(&s->owner) && s->list == LIST_DORMANT, "the span was not abandoned full");
	/* Somebody frees a block of it: whoever needs slots next must find it. */
	heap_free(p[1]);
	heap_malloc(SIZE);
	next = turn(idle);
	must(load_relaxed(&s->owner) == next, "an abandoned span with a free slot is found by nobody");
}
