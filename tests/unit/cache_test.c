/* Caches seen from one thread: what lies on the lists, what `out` counts, what goes back to the arena and the system. */
#include "heap_watch.h"

TestSuite(cache, .init = heap_begin, .fini = no_complaints, .timeout = 120);

/* -- what heap_each_cached lists -- */
enum { LISTED = 200000 };
static struct { struct span *span; uint32_t slot; } listed[LISTED];
static unsigned listed_count;
static bool note(struct span *s, uint32_t slot)
{
	if (listed_count < LISTED) {
		listed[listed_count].span = s;
		listed[listed_count++].slot = slot;
	}
	return true;
}
static unsigned list_cached(void)
{
	listed_count = 0;
	must(heap_each_cached(note), "a list is broken");
	return listed_count;
}
static bool is_listed(const void *p)
{
	for (unsigned i = 0; i < listed_count; i++)
		if (span_address(listed[i].span, listed[i].slot) == (uintptr_t)p)
			return true;
	return false;
}

Test(cache, cached_slots_carry_key_and_state_address_and_look_allocated)
{
	for (size_t n = 1; n < 9000; n = n * 3 / 2 + 7)
		heap_free(heap_malloc(n));
	cr_assert_gt(list_cached(), 100);
	for (unsigned i = 0; i < listed_count; i++) {
		struct span *s = listed[i].span;
		must(listed[i].slot < s->slots && s->kind == SPAN_SMALL, "slot %u of %u", listed[i].slot, s->slots);
		const struct slot *at = (const struct slot *)span_address(s, listed[i].slot);
		must(slot_is_cached(at->key, &s->state[listed[i].slot]), "%p has no key", (const void *)at);
		must(state_is_allocated(s->state[listed[i].slot]), "%p is cached with byte %02x", (const void *)at, s->state[listed[i].slot]);
	}
}

Test(cache, each_cached_lists_exactly_what_malloc_pops_next)
{
	static const size_t sizes[] = { 10, 24, 40, 100, 250, 700, 1500, 4000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		for (unsigned few = 0; few < class_info[class_of(sizes[i])].few; few++)
			cr_assert(heap_malloc(sizes[i])); /* of another class */
		void *p = heap_malloc(sizes[i]);
		unsigned class = span_of(p)->class, expected = 0;
		list_cached();
		for (unsigned k = 0; k < listed_count; k++)
			expected += listed[k].span->class == class;
		must(!is_listed(p), "a block in our hands is listed");
		for (unsigned k = 0; k < expected; k++) {
			void *q = heap_malloc(sizes[i]);
			must(is_listed(q), "size %zu: pop %u of %u was not listed", sizes[i], k, expected);
		}
		list_cached();
		for (unsigned k = 0; k < listed_count; k++)
			must(listed[k].span->class != class, "size %zu: its list should be empty now", sizes[i]);
	}
}

static unsigned stop_after;
static bool stop_early(struct span *s, uint32_t slot)
{
	(void)s, (void)slot;
	return --stop_after > 0;
}
Test(cache, each_cached_ends_when_told)
{
	heap_free(heap_malloc(10));
	stop_after = 3;
	heap_each_cached(stop_early);
	cr_assert_eq(stop_after, 0, "went on after false");
}

Test(cache, freed_blocks_are_not_listed)
{
	void *p = heap_malloc(64);
	heap_free(p);
	cr_assert_eq(state_now(p), STATE_FREE);
	list_cached();
	cr_assert_not(is_listed(p));
}

Test(cache, pop_clears_link_and_key)
{
	static void *held[3000];
	static const size_t sizes[] = { 1, 16, 30, 64, 200, 1000 };
	for (unsigned i = 0; i < NELEM(sizes); i++)
		for (unsigned round = 0; round < 4; round++) {
			for (unsigned k = 0; k < NELEM(held); k++) {
				uintptr_t *p = held[k] = heap_malloc(sizes[i]);
				must(p[0] == 0 && p[1] == 0, "size %zu round %u: a stale word %zx %zx", sizes[i], round, p[0], p[1]);
				memset(p, 0xAB, heap_usable(p));
			}
			for (unsigned k = 0; k < NELEM(held); k++)
				heap_free(held[k * 1009u % NELEM(held)]);
		}
}

Test(cache, a_broken_list_is_noticed)
{
	/* What a program that writes past a block does to a list: the walk inside a stop must say so and never follow the link. */
	heap_free(heap_malloc(300));
	list_cached();
	unsigned i = 0;
	while (i < listed_count && ((struct slot *)span_address(listed[i].span, listed[i].slot))->next == NULL)
		i++;
	must(i < listed_count, "no list of two");
	struct slot *at = (struct slot *)span_address(listed[i].span, listed[i].slot);
	struct slot *next = at->next;
	static const uintptr_t bad[] = { 8, 1, UINTPTR_MAX, (uintptr_t)1 << 47, 0x4141414141414141 };
	for (unsigned k = 0; k < NELEM(bad); k++) {
		at->next = (struct slot *)bad[k];
		must(!heap_each_cached(note), "link %zx was taken", bad[k]);
	}
	at->next = (struct slot *)((uintptr_t)at + 8);
	must(!heap_each_cached(note), "an interior link was taken");
	at->next = next;
	must(heap_each_cached(note), "the mended list is refused");
}

/* -- what `out` counts -- */
static unsigned remote_length(const struct span *s)
{
	unsigned n = 0;
	/* links in spans are encoded, see span.c */
	for (const struct slot *r = load_acquire(&s->remote); r; r = (const struct slot *)((uintptr_t)r->next ^ arena.key ^ (uintptr_t)r))
		n++;
	return n;
}
/* With no caches left, out is exactly the blocks in the program's hands, the recycled and the not yet received. */
static unsigned check_out_of_abandoned(void)
{
	unsigned spans = 0;
	for (uint32_t i = 0; i < span_count(); i++) {
		struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL)
			continue;
		spans++;
		unsigned held = 0, recycled = 0;
		for (uint32_t k = 0; k < s->slots; k++) {
			held += state_is_block(s->state[k]);
			recycled += s->state[k] == STATE_RECYCLED;
		}
		must(load_relaxed(&s->recycled) == (int32_t)recycled, "span %u: %d recycled counted, %u found", i, s->recycled, recycled);
		must(load_relaxed(&s->out) == held + recycled + remote_length(s), "span %u of %zu: out %u, held %u, recycled %u, remote %u", i,
			(size_t)s->block, s->out, held, recycled, remote_length(s));
	}
	return spans;
}

Test(cache, out_is_what_was_handed_out_and_not_received_back)
{
	static void *held[30000];
	uint64_t n = 3;
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(noise(&n) % 600);
	for (unsigned i = 0; i < NELEM(held); i += 3) {
		heap_free(held[i]);
		held[i] = NULL;
	}
	heap_thread_exit();
	cr_assert_gt(check_out_of_abandoned(), 50);
	heap_advance_stamp();
	unsigned lost = 0;
	for (unsigned i = 1; i < NELEM(held); i += 6, lost++)
		must(heap_condemn(state_at(held[i])), "not condemned");
	heap_advance_stamp();
	for (unsigned i = 1; i < NELEM(held); i += 6) {
		must(heap_recycle(span_of(held[i]), slot_of(held[i]), state_at(held[i]), false), "not recycled");
		held[i] = NULL;
	}
	cr_assert_gt(check_out_of_abandoned(), 50);
	for (unsigned i = 0; i < NELEM(held); i++)
		if (held[i])
			heap_free(held[i]);
	heap_thread_exit();
	for (uint32_t i = 0; i < span_count(); i++)
		if (arena.spans[i].kind == SPAN_SMALL && arena.spans[i].out == (uint32_t)arena.spans[i].recycled)
			must(load_relaxed(&arena.spans[i].owner) == NULL, "span %u is empty, yet somebody's", i);
	check_out_of_abandoned();
}

Test(cache, an_owned_span_counts_its_cached_slots_as_out)
{
	void *p = heap_malloc(1000);
	struct span *s = span_of(p);
	list_cached();
	unsigned waiting = 0;
	for (unsigned i = 0; i < listed_count; i++)
		waiting += listed[i].span == s;
	cr_assert_eq(load_relaxed(&s->out), waiting + 1);
	cr_assert_eq(load_relaxed(&s->owner), self.cache);
	heap_free(p);
}

/* -- back to the arena and the system -- */
Test(cache, memory_of_freed_blocks_goes_back)
{
	enum { COUNT = 400000 };
	static void *held[COUNT];
	struct heap_totals t;
	size_t before = live_bytes();
	for (unsigned i = 0; i < COUNT; i++)
		memset(held[i] = heap_malloc(100 + i % 100), 1, 100);
	cr_assert_geq(live_bytes() - before, (size_t)COUNT * 100);
	size_t full = resident_bytes();
	for (unsigned i = 0; i < COUNT; i++)
		heap_free(held[i]);
	heap_thread_exit();
	heap_totals(&t);
	cr_assert_eq(t.live, before, "%zd bytes stayed", (ssize_t)(t.live - before));
	cr_assert_geq(t.dirty + stats.purged_bytes, (size_t)COUNT * 100, "dirty is %zu", t.dirty);
	size_t purged = heap_purge(true);
	heap_totals(&t);
	cr_assert_leq(t.dirty, 64u << 10, "%zu bytes stay dirty after a purge of all", t.dirty);
	cr_assert_geq(purged + stats.purged_bytes, (size_t)COUNT * 100, "purged %zu", purged);
	size_t now = resident_bytes();
	cr_assert(now < full && full - now >= (size_t)COUNT * 100 / 4 * 3, "RSS went from %zu to %zu", full, now);
}

Test(cache, a_thread_that_stays_gives_whole_spans_back)
{
	enum { COUNT = 200000 };
	static void *held[COUNT];
	size_t before = live_bytes();
	for (unsigned i = 0; i < COUNT; i++)
		held[i] = heap_malloc(200);
	for (unsigned i = 0; i < COUNT; i++)
		heap_free(held[i]);
	size_t kept = live_bytes() - before;
	cr_assert_leq(kept, 2u << 20, "%zu bytes are kept by one class of a live cache", kept);
}

Test(cache, churn_does_not_grow_the_heap)
{
	static void *held[2000];
	uint64_t n = 11;
	size_t after_warm_up = 0;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < NELEM(held) * 10; i++) {
			void **h = &held[noise(&n) % NELEM(held)];
			heap_free(*h);
			*h = heap_malloc(noise(&n) % 3000);
		}
		if (round == 9)
			after_warm_up = live_bytes();
	}
	cr_assert_leq(live_bytes(), after_warm_up * 3 / 2, "from %zu to %zu", after_warm_up, live_bytes());
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
}

Test(cache, thread_exit_twice_and_then_malloc_works)
{
	void *p = heap_malloc(100);
	heap_thread_exit();
	heap_thread_exit();
	void *q = heap_malloc(100);
	cr_assert(q && q != p);
	heap_free(p);
	heap_free(q);
	heap_thread_exit();
}

Test(cache, growth_beyond_the_watch_is_told)
{
	size_t at = live_bytes();
	heap_watch_growth(1u << 20);
	static void *held[40000];
	for (unsigned i = 0; i < NELEM(held); i++) {
		held[i] = heap_malloc(100);
		if (live_bytes() < at + (1u << 19))
			must(seen.pressure == 0, "pressure below the mark");
	}
	cr_assert_geq(seen.pressure, 1, "growth was not noticed");
	cr_assert_geq(live_bytes(), at + (1u << 20));
	heap_watch_growth(SIZE_MAX);
	uint32_t before = seen.pressure;
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i]);
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(100);
	cr_assert_eq(seen.pressure, before, "nobody watches");
}
