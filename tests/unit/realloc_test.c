/* realloc: every class against every class and the large sizes, growing and shrinking in place, moving, failing. */
#include "heap_watch.h"

TestSuite(realloc, .init = heap_begin, .fini = no_complaints, .timeout = 240);

/* Smallest and largest size of each class, and sizes around the steps of large blocks. */
static size_t sizes[128];
static unsigned size_count;
static void collect_sizes(void)
{
	static const size_t large[] = { 65537, 69632, 131071, 131072, 131073, 200000, 524288, 700001 };
	for (unsigned c = 0; c < 45; c++) {
		size_t low, high;
		if (!class_sizes(c, &low, &high))
			continue;
		sizes[size_count++] = low ? low : 1;
		sizes[size_count++] = high;
	}
	for (unsigned i = 0; i < NELEM(large); i++)
		sizes[size_count++] = large[i];
}

Test(realloc, matrix_of_every_class_by_old_and_new_size_keeps_contents)
{
	collect_sizes();
	cr_assert_geq(size_count, 90);
	size_t before = live_bytes();
	unsigned step = SANITIZED ? 3 : 1; /* 3 divides neither count nor pairs of bounds, so every class is met in both places */
	for (unsigned from = 0; from < size_count; from++)
		for (unsigned to = from % step; to < size_count; to += step) {
			size_t old = sizes[from], new = sizes[to], kept = old < new ? old : new;
			uint8_t *p = heap_malloc(old);
			fill(p, old, from + to);
			uint8_t *q = heap_realloc(p, new);
			must(q && ((uintptr_t)q & 15) == 0, "realloc %zu to %zu failed", old, new);
			must(heap_usable(q) >= new, "realloc %zu to %zu: usable %zu", old, new, heap_usable(q));
			must(holds(q, kept, from + to), "realloc %zu to %zu lost contents", old, new);
			struct block_info b;
			if (q != p)
				must(heap_find((uintptr_t)p, &b) != FOUND_BLOCK || b.start != (uintptr_t)p || b.span == span_of(q),
					"realloc %zu to %zu kept both blocks", old, new);
			fill(q, new, 3);
			heap_free(q);
		}
	heap_thread_exit();
	cr_assert_eq(live_bytes(), before, "realloc leaks %zd bytes", (ssize_t)(live_bytes() - before));
}

Test(realloc, of_null_is_malloc)
{
	uint8_t *p = heap_realloc(NULL, 100);
	cr_assert(p && heap_usable(p) >= 100);
	heap_free(p);
}

Test(realloc, to_a_size_the_slot_holds_stays)
{
	for (unsigned c = 0; c < 45; c++) {
		size_t low, high;
		if (!class_sizes(c, &low, &high))
			continue;
		uint8_t *p = heap_malloc(low);
		must(heap_realloc(p, high) == p, "growing %zu to %zu inside class %u moved", low, high, c);
		must(heap_realloc(p, low ? low : 1) == p, "shrinking %zu to %zu inside class %u moved", high, low, c);
		heap_free(p);
	}
}

Test(realloc, shrinking_far_gives_memory_back)
{
	size_t before = live_bytes();
	uint8_t *p = heap_malloc(8u << 20);
	fill(p, 1000, 5);
	p = heap_realloc(p, 1000);
	cr_assert(p && holds(p, 1000, 5));
	cr_assert_leq(live_bytes() - before, 512u << 10, "a block of 1000 bytes still holds %zu", live_bytes() - before);
	heap_free(p);
}

Test(realloc, large_blocks_grow_in_place_over_free_neighbours)
{
	enum { SIZE = 1 << 20 };
	uint8_t *p[8];
	for (unsigned i = 0; i < NELEM(p); i++)
		fill(p[i] = heap_malloc(SIZE), SIZE, i);
	bool tried = false;
	for (unsigned i = 0; i < NELEM(p) && !tried; i++)
		for (unsigned k = 0; k < NELEM(p); k++) {
			uintptr_t gap = (uintptr_t)p[k] - (uintptr_t)p[i];
			if (gap < SIZE || gap > SIZE + PAGE)
				continue;
			heap_free(p[k]);
			p[k] = NULL;
			uint8_t *q = heap_realloc(p[i], SIZE + SIZE / 2);
			cr_assert_eq(q, p[i], "the neighbour was free, yet the block moved");
			cr_assert(holds(q, SIZE, i));
			fill(q, SIZE, i);
			memset(q + SIZE, 0x77, SIZE / 2);
			tried = true;
			break;
		}
	cr_assert(tried, "no two large blocks of a fresh heap are neighbours");
	for (unsigned i = 0; i < NELEM(p); i++)
		if (p[i]) {
			must(holds(p[i], SIZE, i), "block %u was overwritten", i);
			heap_free(p[i]);
		}
}

Test(realloc, large_blocks_shrink_in_place_and_their_tail_is_reused)
{
	uint8_t *p = heap_malloc(6u << 20);
	fill(p, 100000, 1);
	uint8_t *q = heap_realloc(p, 1u << 20);
	cr_assert_eq(p, q, "a large block that shrinks need not move");
	cr_assert(holds(q, 100000, 1));
	size_t mapped = mapped_bytes();
	void *tail = heap_malloc(4u << 20);
	cr_assert_eq(mapped_bytes(), mapped, "the tail was not reused");
	memset(tail, 0xEE, 4u << 20);
	cr_assert(holds(q, 100000, 1));
	heap_free(tail);
	heap_free(q);
}

Test(realloc, large_blocks_move_when_hemmed_in)
{
	/* Sizes on both sides of the step from which on pages are moved instead of copied. */
	static const size_t from[] = { 100000, 1u << 20, 4u << 20, 9u << 20 };
	for (unsigned i = 0; i < NELEM(from); i++) {
		size_t n = from[i], edge = n < PATTERN ? n : PATTERN;
		uint8_t *p = heap_malloc(n), *fence = heap_malloc(n), *fence2 = heap_malloc(n);
		fill(p, edge, i);
		fill(p + n - edge, edge, i + 100);
		memset(fence, 1, n);
		memset(fence2, 2, n);
		uint8_t *q = heap_realloc(p, 3 * n);
		must(q && heap_usable(q) >= 3 * n, "growing %zu failed", n);
		must(n > edge ? holds(q, edge, i) && holds(q + n - edge, edge, i + 100) : holds(q, edge, i + 100), "growing %zu lost contents", n);
		memset(q + n, 3, 2 * n);
		must(all_bytes(fence, n, 1) && all_bytes(fence2, n, 2), "growing %zu wrote into a neighbour", n);
		struct block_info b;
		if (q != p)
			must(heap_find((uintptr_t)p, &b) != FOUND_BLOCK || b.start != (uintptr_t)p, "the old place of %zu is still a block", n);
		heap_free(fence);
		heap_free(fence2);
		heap_free(q);
	}
}

Test(realloc, what_a_moved_block_left_behind_is_not_handed_to_calloc_dirty)
{
	enum { SIZE = 8 << 20 };
	for (unsigned round = 0; round < 4; round++) {
		uint8_t *p = heap_malloc(SIZE), *fence = heap_malloc(PAGE * 2);
		memset(p, 0xDD, SIZE);
		p = heap_realloc(p, 2 * SIZE);
		memset(p + SIZE, 0xDD, SIZE);
		uint8_t *z = heap_calloc(1, SIZE);
		must(all_bytes(z, SIZE, 0), "calloc after a move is dirty in round %u", round);
		memset(z, 0xCC, SIZE);
		must(all_bytes(p, 2 * SIZE, 0xDD), "a moved block shares pages");
		heap_free(p);
		heap_free(fence);
		heap_free(z);
	}
}

Test(realloc, growing_step_by_step_is_not_quadratic_in_space)
{
	size_t n = 100;
	uint8_t *p = heap_malloc(n);
	fill(p, n, 0);
	for (unsigned i = 0; i < 900; i++) {
		size_t grown = n + n / 50 + 1;
		p = heap_realloc(p, grown);
		must(p && holds(p, n < PATTERN ? n : PATTERN, 0), "growing to %zu lost contents", grown);
		if (grown > PATTERN)
			break;
		fill(p, grown, 0);
		n = grown;
	}
	cr_assert_leq(mapped_bytes(), 256u << 20);
	heap_free(p);
}
