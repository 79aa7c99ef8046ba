/* Recording: every allocation has the site and size of its own, refills keep their batches, the stash is seen by stops and forks, and
 * samples are drawn without bias. */
#include "heap_watch.h"
#include "heap/cache.h"
#include "heap/sites.h"

static void begin(void)
{
	heap_begin();
	cr_assert(sites_start(0));
}
TestSuite(recorded, .init = begin, .timeout = 60);

static size_t bytes_of(const void *p) { return sites_bytes(span_of(p), slot_of(p)); }
static uint32_t site_of(const void *p) { return sites_of(span_of(p), slot_of(p)); }

Test(recorded, every_block_has_a_site_and_the_size_that_was_asked_for)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 24, 100, 1000, 4095, 4096, 5000, 30000, 65536, 70000, 300000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		void *p[] = { heap_malloc(sizes[i]), heap_calloc(1, sizes[i]), heap_aligned(64, sizes[i]) };
		for (unsigned k = 0; k < NELEM(p); k++) {
			cr_assert(site_of(p[k]), "%zu", sizes[i]);
			cr_assert_eq(bytes_of(p[k]), sizes[i], "%zu: %zu", sizes[i], bytes_of(p[k]));
			heap_free(p[k]);
		}
	}
	for (size_t size = 1; size < 700; size++) { /* both widths of what was not asked for, and each of its values */
		void *p = heap_malloc(size), *q = heap_malloc(size);
		cr_assert_eq(bytes_of(p), size);
		cr_assert_eq(bytes_of(q), size, "the neighbour's %zu: %zu", size, bytes_of(q));
		cr_assert_eq(bytes_of(p = heap_realloc(p, size - size / 4)), size - size / 4);
		cr_assert_eq(bytes_of(q), size, "the neighbour's %zu: %zu", size, bytes_of(q));
	}
	void *p = heap_malloc(1000);
	p = heap_realloc(p, 990);
	cr_assert_eq(bytes_of(p), 990);
	p = heap_realloc(p, 200000);
	cr_assert_eq(bytes_of(p), 200000);
	p = heap_realloc(p, 200100);
	cr_assert_eq(bytes_of(p), 200100);
}

Test(recorded, the_fast_path_always_misses_and_refills_move_batches)
{
	for (int i = 0; i < 10000; i++) {
		void *p = heap_malloc(64);
		cr_assert_null(self.cache->bins[class_table[64 >> 4]].alloc);
		if (i % 3 == 0)
			heap_free(p);
	}
	cr_assert_lt(self.cache->refills, 500);
}

Test(recorded, one_past_the_end_of_a_block_is_in_its_slot_whatever_its_size)
{
	for (size_t size = 16; size <= 512 << 10; size += size < 8192 ? 16 : 4096) {
		char *p = heap_malloc(size), *q = heap_realloc(heap_malloc(1), size);
		cr_assert(span_of(p + size) == span_of(p) && slot_of(p + size) == slot_of(p), "%zu", size);
		cr_assert(span_of(q + size) == span_of(q) && slot_of(q + size) == slot_of(q), "%zu", size);
		cr_assert_eq(bytes_of(p), size);
	}
	char *p = heap_realloc(heap_malloc(100000), 2 << 16); /* in place */
	cr_assert(span_of(p + (2 << 16)) == span_of(p));
}

/* A word that the program forgot leads to what comes to stand in the slot. So the newest free slots wait while there are others. */
Test(recorded, what_was_freed_rests_before_it_is_handed_out_again)
{
	static const size_t sizes[] = { 16, 64, 256, 1000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		const unsigned rest = 2048 / class_info[class_of(sizes[i])].block < 32 ? 2048 / class_info[class_of(sizes[i])].block : 32;
		for (int round = 0; round < 50; round++) {
			void *p = heap_malloc(sizes[i]), *others[32];
			heap_free(p);
			for (unsigned k = 0; k + 1 < rest; k++)
				others[k] = heap_malloc(sizes[i]);
			for (unsigned k = 0; k + 1 < rest; k++)
				heap_free(others[k]);
			for (unsigned k = 0; k < 1000; k++) /* far more than a batch */
				cr_assert(heap_malloc(sizes[i]) != p, "%zu: after %u others", sizes[i], k);
		}
	}
}

Test(recorded, what_rests_is_bounded)
{
	uint32_t spans = 0;
	for (int round = 0; round < 1000; round++) {
		if (round == 2)
			spans = span_count();
		void *p[512];
		for (int i = 0; i < 512; i++)
			p[i] = heap_malloc(64);
		for (int i = 0; i < 512; i++)
			heap_free(p[i]);
	}
	cr_assert_eq(span_count(), spans, "what is room enough for 512 blocks of 64 bytes twice is so for ever");
}

Test(recorded, without_memory_nothing_rests)
{
	static void *p[200000];
	unsigned n = 0;
	heap_set_limit(48u << 20);
	while (n < NELEM(p) && (p[n] = heap_malloc(400)))
		n++;
	must(n > 100 && n < NELEM(p), "the limit was not felt");
	heap_free(p[7]);
	cr_assert_eq(heap_malloc(400), p[7]);
}

static uint32_t listed;
static bool count_cached(struct span *s, uint32_t slot) { return ++listed; }

Test(recorded, a_stop_sees_the_slots_of_the_stash)
{
	void *p = heap_malloc(64);
	cr_assert(p && heap_each_cached(count_cached));
	uint32_t expected = class_info[span_of(p)->class].batch / 2 - 1; /* the first of a class */
	cr_assert_geq(listed, expected);
}

Test(recorded, a_thread_that_ends_gives_its_stash_back)
{
	void *p = heap_malloc(64);
	struct span *s = span_of(p);
	heap_thread_exit();
	cr_assert_eq(s->out, 1);
	heap_free(p);
	listed = 0;
	cr_assert(heap_each_cached(count_cached));
	cr_assert_eq(listed, 0);
}

static void sampled(void)
{
	heap_begin();
	cr_assert(sites_start(64 << 10));
}

/* 40 MiB in samples of 64 KiB are 640 events: an estimate's standard error is 4 %, so 20 % are five of them. */
static void estimate(size_t size, unsigned count)
{
	double blocks = 0;
	unsigned seen_ones = 0;
	for (unsigned i = 0; i < count; i++) {
		void *p = heap_malloc(size);
		must(p != NULL, "no memory");
		if (site_of(p)) {
			seen_ones++;
			blocks += sites_weight(span_of(p)->block);
		}
		if (i % 2)
			heap_free(p); /* its slot comes round again: without the site */
	}
	cr_assert(blocks > count * 0.8 && blocks < count * 1.2, "%zu bytes: %u of %u recorded, estimate %lu", size, seen_ones, count, (unsigned long)blocks);
}

Test(recorded, samples_estimate_small_blocks_without_bias, .init = sampled) { estimate(40, 800000); }
Test(recorded, samples_estimate_middle_blocks_without_bias, .init = sampled) { estimate(3000, 13000); }
Test(recorded, samples_estimate_blocks_near_the_distance_without_bias, .init = sampled) { estimate(50000, 3000); }
Test(recorded, samples_estimate_large_blocks_without_bias, .init = sampled) { estimate(100000, 1500); }

Test(recorded, a_block_stands_for_as_many_as_its_chance_says, .init = sampled)
{
	double w = sites_weight(64 << 10); /* 1 / (1 - 1/e) */
	cr_assert(w > 1.58197 && w < 1.58198);
	w = sites_weight(64); /* 1 / (1 - exp(-1/1024)) */
	cr_assert(w > 1024.5 && w < 1024.51);
	w = sites_weight(16 << 20);
	cr_assert(w >= 1 && w < 1.0000001);
}

Test(recorded, a_slot_forgets_the_site_of_the_block_before, .init = sampled)
{
	unsigned recorded = 0;
	for (int round = 0; round < 300; round++) {
		void *p[500];
		for (int i = 0; i < 500; i++)
			recorded += site_of(p[i] = heap_malloc(64)) != 0;
		for (int i = 0; i < 500; i++)
			heap_free(p[i]);
	}
	cr_assert(recorded > 50 && recorded < 400, "%u", recorded); /* 185 expected: one in 819 */
}

/* ---- what a child of fork made ---- */

static uintptr_t told[200];
static unsigned told_count;
static bool tell(const struct span *s, uint32_t slot)
{
	told[told_count++] = span_address(s, slot);
	return told_count < NELEM(told);
}
static bool refuse(const struct span *s, uint32_t slot) { return false; }
static bool is_told(const void *p)
{
	for (unsigned i = 0; i < told_count; i++)
		if (told[i] == (uintptr_t)p)
			return true;
	return false;
}

Test(recorded, what_was_made_since_the_fork_is_known_one_by_one_while_it_is_little)
{
	char *before = heap_malloc(104), *freed_before = heap_malloc(104);
	cr_assert_not(sites_each_made(tell), "no child");
	heap_mark_inherited();
	cr_assert(sites_each_made(refuse), "there are none");
	char *small = heap_malloc(104), *large = heap_malloc(300000), *gone = heap_malloc(104), *gone_large = heap_malloc(400000);
	heap_free(freed_before);
	heap_free(gone);
	heap_free(gone_large);
	before = heap_realloc(before, 100);
	cr_assert(sites_each_made(tell));
	cr_assert(told_count == 2 && is_told(small) && is_told(large), "%u", told_count);
	cr_assert_not(sites_each_made(refuse));
	for (int i = 0; i < 20; i++) { /* in the places of those that were freed, too */
		told_count = 0;
		char *next = heap_malloc(104);
		cr_assert(sites_each_made(tell));
		cr_assert(is_told(next));
		if (i % 2)
			heap_free(next);
	}
	told_count = 0;
	cr_assert(sites_each_made(tell));
	cr_assert_not(is_told(before));
	cr_assert_not(is_told(gone) && span_of(gone)->state[slot_of(gone)] == 0);
	for (int i = 0; i < 100; i++)
		heap_free(heap_malloc(16));
	cr_assert_not(sites_each_made(tell), "too many to know all");
	heap_mark_inherited(); /* a child of the child */
	cr_assert(sites_each_made(refuse), "there are none again");
}
