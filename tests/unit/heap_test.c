/* Blocks from one thread: what malloc and its kin promise, and what heap_find says of every kind of word. */
#include "heap_watch.h"

TestSuite(heap, .init = heap_begin, .fini = no_complaints, .timeout = 120);

static bool aligned_to(const void *p, size_t align) { return ((uintptr_t)p & (align - 1)) == 0; }

Test(heap, sizes_up_to_200k_are_usable_aligned_and_keep_their_contents)
{
	enum { HELD = 64 };
	struct { uint8_t *p; size_t n; } held[HELD] = { 0 };
	unsigned i = 0;
	for (size_t n = 0; n <= 200000; n += n < 5000 ? 1 : 97, i++) {
		uint8_t *p = heap_malloc(n);
		must(p, "malloc(%zu) failed", n);
		must(aligned_to(p, 16), "malloc(%zu) = %p", n, (void *)p);
		must(heap_usable(p) >= n, "malloc(%zu) has %zu usable bytes", n, heap_usable(p));
		unsigned h = i % HELD;
		if (held[h].p) {
			must(holds(held[h].p, held[h].n, (unsigned)held[h].n), "contents of a block of %zu changed", held[h].n);
			heap_free(held[h].p);
		}
		fill(p, n, (unsigned)n);
		held[h].p = p;
		held[h].n = n;
	}
	for (unsigned h = 0; h < HELD; h++)
		heap_free(held[h].p);
}

Test(heap, whole_usable_size_may_be_written)
{
	static struct { uint8_t *p; size_t n; } held[600];
	for (unsigned i = 0; i < NELEM(held); i++) {
		held[i].p = heap_malloc(i * 251 % 150000);
		held[i].n = heap_usable(held[i].p);
		fill(held[i].p, held[i].n, i);
	}
	for (unsigned i = 0; i < NELEM(held); i++)
		must(holds(held[i].p, held[i].n, i), "block %u of %zu bytes was overwritten by a neighbour", i, held[i].n);
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i].p);
}

Test(heap, malloc_of_nothing_gives_distinct_blocks)
{
	void *p = heap_malloc(0), *q = heap_malloc(0);
	cr_assert(p && q && p != q);
	heap_free(p);
	heap_free(q);
}

Test(heap, one_past_the_end_keeps_its_block)
{
	/* A pointer one past the end of the asked size lies inside the slot, unless the class is exact. */
	for (size_t n = 0; n < 70000; n += n < 300 ? 1 : 127) {
		uint8_t *p = heap_malloc(n);
		struct block_info b;
		must(heap_find((uintptr_t)p + n, &b) == FOUND_BLOCK || (n && n % OS_PAGE == 0), "malloc(%zu): no block at its end", n);
		if (n == 0 || n % OS_PAGE)
			must(b.start == (uintptr_t)p, "malloc(%zu): its end belongs to the neighbour", n);
		heap_free(p);
	}
}

Test(heap, calloc_clears_reused_dirty_slots)
{
	static const size_t sizes[] = { 1, 8, 15, 16, 17, 31, 33, 48, 63, 100, 200, 500, 1000, 3000, 4096, 8000, 8192, 20000, 65536,
		70000, 100000, 300000, 1000000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		size_t n = sizes[i];
		unsigned count = n < 5000 ? 300 : 8;
		void *held[300];
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned k = 0; k < count; k++) {
				held[k] = heap_calloc(1, n);
				must(held[k] && all_bytes(held[k], n, 0), "calloc(1, %zu) is dirty in round %u", n, round);
				memset(held[k], 0xA5, heap_usable(held[k]));
			}
			for (unsigned k = 0; k < count; k++)
				heap_free(held[k]);
			for (unsigned k = 0; k < count; k++)
				memset(held[k] = heap_malloc(n), 0x5A, n);
			for (unsigned k = 0; k < count; k++)
				heap_free(held[k]);
		}
	}
}

Test(heap, calloc_multiplies_and_refuses_overflow)
{
	uint8_t *p = heap_calloc(37, 41);
	cr_assert(p && heap_usable(p) >= 37 * 41 && all_bytes(p, 37 * 41, 0));
	heap_free(p);
	cr_assert_null(heap_calloc(SIZE_MAX / 2, 3));
	cr_assert_null(heap_calloc(SIZE_MAX, SIZE_MAX));
	cr_assert_null(heap_calloc((size_t)1 << 32, (size_t)1 << 32));
	cr_assert_null(heap_calloc(3, SIZE_MAX / 3 + 1));
	p = heap_calloc(0, SIZE_MAX);
	cr_assert_not_null(p, "nothing times anything is nothing");
	heap_free(p);
}

Test(heap, sizes_from_ptrdiff_max_on_fail)
{
	static const size_t sizes[] = { PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 65536, SIZE_MAX - 4095, SIZE_MAX - 15, SIZE_MAX };
	uint8_t *p = heap_malloc(100), *large = heap_malloc(200000);
	fill(p, 100, 1);
	fill(large, 200000, 2);
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		must(!heap_malloc(sizes[i]), "malloc(%zx) worked", sizes[i]);
		must(!heap_calloc(1, sizes[i]), "calloc(%zx) worked", sizes[i]);
		for (size_t align = 16; align <= 4u << 20; align *= 8)
			must(!heap_aligned(align, sizes[i]), "aligned(%zu, %zx) worked", align, sizes[i]);
		must(!heap_realloc(p, sizes[i]), "realloc(%zx) worked", sizes[i]);
		must(!heap_realloc(large, sizes[i]), "realloc(large, %zx) worked", sizes[i]);
	}
	cr_assert(holds(p, 100, 1) && holds(large, 200000, 2), "a failed realloc touched its block");
	heap_free(p);
	heap_free(large);
	cr_assert_null(heap_aligned((size_t)1 << 62, 1), "an alignment beyond the address space");
	cr_assert_null(heap_aligned((size_t)1 << 63, (size_t)1 << 62), "alignment + size wraps");
}

Test(heap, aligned_blocks_for_every_alignment_up_to_4_mib)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 200, 1000, 4095, 4096, 4097, 8192, 20000, 65535, 65536, 65537, 300000 };
	size_t before = live_bytes();
	for (size_t align = 1; align <= 4u << 20; align *= 2)
		for (unsigned i = 0; i < NELEM(sizes); i++) {
			uint8_t *p[3];
			for (unsigned k = 0; k < NELEM(p); k++) {
				p[k] = heap_aligned(align, sizes[i]);
				must(p[k], "aligned(%zu, %zu) failed", align, sizes[i]);
				must(aligned_to(p[k], align) && aligned_to(p[k], 16), "aligned(%zu, %zu) = %p", align, sizes[i], (void *)p[k]);
				must(heap_usable(p[k]) >= sizes[i], "aligned(%zu, %zu): usable %zu", align, sizes[i], heap_usable(p[k]));
				fill(p[k], sizes[i], k + i);
			}
			for (unsigned k = 0; k < NELEM(p); k++) {
				must(holds(p[k], sizes[i], k + i), "aligned(%zu, %zu) overlaps", align, sizes[i]);
				heap_free(p[k]);
			}
		}
	heap_thread_exit();
	cr_assert_eq(live_bytes(), before, "aligned blocks leak %zd bytes", (ssize_t)(live_bytes() - before));
}

Test(heap, realloc_of_aligned_blocks_keeps_contents)
{
	for (size_t align = 32; align <= 1u << 20; align *= 4)
		for (size_t size = 10; size <= 200000; size *= 7) {
			uint8_t *p = heap_aligned(align, size);
			fill(p, size, 9);
			p = heap_realloc(p, size * 2);
			must(p && holds(p, size, 9), "aligned(%zu, %zu) lost its contents", align, size);
			heap_free(p);
		}
}

Test(heap, usable_speaks_of_starts_only)
{
	uint8_t *p = heap_malloc(100), *large = heap_malloc(300000);
	cr_assert_geq(heap_usable(p), 100);
	cr_assert_geq(heap_usable(large), 300000);
	cr_assert_eq(heap_usable(p + 16), 0);
	cr_assert_eq(heap_usable(large + PAGE), 0);
	heap_free(p);
	heap_free(large);
	cr_assert_eq(heap_usable(p), 0);
	cr_assert_eq(heap_usable(large), 0);
	cr_assert_eq(seen.misuse, 0, "asking is no misuse");
}

Test(heap, find_knows_every_byte_of_a_block)
{
	static const size_t sizes[] = { 1, 24, 100, 1000, 5000, 20000, 65536, 100000, 3000000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		uint8_t *p = heap_malloc(sizes[i]);
		for (size_t at = 0; at < sizes[i]; at += sizes[i] < 30000 ? 1 : 4093) {
			struct block_info b = { 0 };
			must(heap_find((uintptr_t)p + at, &b) == FOUND_BLOCK, "offset %zu of %zu: no block", at, sizes[i]);
			must(b.start == (uintptr_t)p && b.size == heap_usable(p), "offset %zu of %zu: wrong block", at, sizes[i]);
			must(b.span == span_of(p) && b.slot == slot_of(p) && state_is_allocated(b.state), "offset %zu of %zu: wrong slot",
				at, sizes[i]);
		}
		heap_free(p);
		struct block_info b;
		must(heap_find((uintptr_t)p, &b) != FOUND_BLOCK, "a freed block of %zu is still found", sizes[i]);
	}
}

Test(heap, find_says_free_for_slots_without_a_block)
{
	uint8_t *p = heap_malloc(3000), *keep = heap_malloc(3000);
	struct span *s = span_of(p);
	heap_free(p);
	struct block_info b;
	cr_assert_eq(heap_find((uintptr_t)p, &b), FOUND_FREE);
	cr_assert_eq(heap_find((uintptr_t)p + 7, &b), FOUND_FREE);
	uint32_t last = s->slots - 1; /* never handed out: the span was cut just now */
	cr_assert_eq(heap_find(span_address(s, last), &b), FOUND_FREE);
	heap_free(keep);
}

Test(heap, a_few_blocks_of_many_sizes_share_pages)
{
	uintptr_t pages[64];
	unsigned count = 0;
	for (size_t size = 1; size <= 500; size += 10)
		for (unsigned i = 0; i < 2; i++) {
			uint8_t *p = heap_malloc(size);
			uintptr_t page = align_down((uintptr_t)p, OS_PAGE);
			must((uintptr_t)p % 16 == 0 && heap_usable(p) >= size && heap_usable(p) < 2 * size + 32, "%zu bytes for %zu", heap_usable(p), size);
			fill(p, size, i);
			unsigned k = 0;
			while (k < count && pages[k] != page)
				k++;
			must(k < NELEM(pages), "more than %zu pages", NELEM(pages));
			pages[k] = page;
			count += k == count;
		}
	cr_assert_leq(count, 16, "100 blocks of 25 KiB lie on %u pages", count);
	for (size_t align = 32; align <= 256; align *= 2)
		for (size_t size = 1; size <= 500; size += 10)
			must((uintptr_t)heap_aligned(align, size) % align == 0, "%zu bytes are not aligned to %zu", size, align);
}

Test(heap, spans_grow_with_their_number)
{
	const struct class_info *k = &class_info[class_of(100)];
	uint32_t slots[4], spans = 0, last = 0;
	for (unsigned i = 0; i < k->few; i++)
		must(heap_malloc(100), "no block");
	for (unsigned i = 0; i < 2000 && spans < NELEM(slots); i++) {
		const struct span *s = span_of(heap_malloc(100));
		if (s->index != last)
			slots[spans++] = s->slots;
		last = s->index;
	}
	cr_assert_eq(spans, NELEM(slots));
	cr_assert(slots[0] * k->block <= OS_PAGE && slots[1] > slots[0] && slots[2] == k->slots && slots[3] == k->slots);
}

Test(heap, find_says_nothing_in_span_tails_and_outside)
{
	unsigned tails = 0;
	for (unsigned c = 0; c < NATURAL; c++) {
		size_t low, high;
		if (!class_sizes(c, &low, &high))
			continue;
		uint8_t *p = heap_malloc(low);
		struct span *s = span_of(p);
		uintptr_t end = s->start + (uintptr_t)class_info[c].pages * PAGE;
		struct block_info b;
		for (uintptr_t w = span_address(s, s->slots); w < end; w++, tails++)
			must(heap_find(w, &b) == FOUND_NOTHING, "class %u: a block in the tail", c);
		heap_free(p);
	}
	cr_assert_gt(tails, 1000);
	int local;
	const uintptr_t outside[] = { 0, 1, 8, 4096, arena.base - 1, arena.base - PAGE, arena.base + arena.limit, arena.base + arena.limit + PAGE,
		(uintptr_t)&local, (uintptr_t)&outside, (uintptr_t)arena.spans, (uintptr_t)arena.page_map, INTPTR_MAX, UINTPTR_MAX,
		UINTPTR_MAX - 15, (uintptr_t)1 << 63 };
	for (unsigned i = 0; i < NELEM(outside); i++) {
		struct block_info b;
		must(heap_find(outside[i], &b) == FOUND_NOTHING, "word %zx (%u) is a block", (size_t)outside[i], i);
	}
}

Test(heap, usable_is_what_find_says_and_of_nothing_but_starts)
{
	unsigned blocks = 0;
	for (size_t size = 0; size < 300000; size += size / 9 + 5, blocks++) {
		uint8_t *p = heap_malloc(size), *free_one = heap_malloc(size);
		struct block_info b;
		must(heap_find((uintptr_t)p, &b) == FOUND_BLOCK && b.size >= size, "%zu", size);
		must(heap_usable(p) == b.size, "%zu bytes: usable are %zu, find says %zu", size, heap_usable(p), b.size);
		must(!heap_usable(p + 1) && !heap_usable(p + 8) && !heap_usable(p + b.size - 1), "%zu: inner pointers", size);
		heap_free(free_one);
		must(!heap_usable(free_one), "%zu: of a free slot", size);
		heap_free(p);
	}
	cr_assert_gt(blocks, 80);
	cr_assert_eq(heap_usable(NULL), 0);
	struct span *s = span_of(heap_malloc(3000));
	for (uintptr_t w = span_address(s, s->slots); w < s->start + (uintptr_t)s->pages * PAGE; w++)
		must(!heap_usable((void *)w), "in a span's tail");
}

Test(heap, find_is_safe_for_every_page_of_the_window)
{
	void *held[200];
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(i * 977);
	for (unsigned i = 0; i < NELEM(held); i += 2)
		heap_free(held[i]);
	unsigned blocks = 0;
	for (uintptr_t w = arena.base; w < arena.base + arena.limit; w += 1031) {
		struct block_info b;
		if (heap_find(w, &b) == FOUND_BLOCK) {
			must(b.start <= w && state_is_block(b.state), "a block that does not hold its word");
			blocks++;
		}
	}
	cr_assert_gt(blocks, 100);
	for (unsigned i = 1; i < NELEM(held); i += 2)
		heap_free(held[i]);
}

Test(heap, free_of_null_is_nothing)
{
	size_t before = live_bytes();
	heap_free(NULL);
	cr_assert_eq(live_bytes(), before);
	cr_assert_eq(seen.foreign_free, 0);
}

Test(heap, everything_freed_is_everything_received_back)
{
	size_t before = live_bytes();
	static void *held[20000];
	uint64_t n = 7;
	for (unsigned i = 0; i < NELEM(held); i++)
		held[i] = heap_malloc(noise(&n) % (i % 100 ? 700 : 90000));
	for (unsigned i = 0; i < NELEM(held); i++)
		heap_free(held[i * 7919u % NELEM(held)]);
	heap_thread_exit();
	cr_assert_eq(live_bytes(), before, "%zd bytes are missing", (ssize_t)(live_bytes() - before));
}
