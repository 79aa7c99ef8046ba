/*
 * What is not the start of a live block, given to free or realloc: inside the window it is misuse, told exactly once and
 * then ignored (the hook of these tests returns); outside it goes to the foreign hooks; condemned and recycled blocks are
 * evidence of a hidden pointer, never misuse (law 9).
 */
#include "heap_watch.h"

TestSuite(misuse, .init = heap_begin, .timeout = 60);

/* The heap must stay whole after ignored misuse: no address twice, contents kept. */
static void heap_is_whole(size_t size)
{
	enum { COUNT = 3000 };
	static void *held[COUNT];
	ledger_open();
	for (unsigned i = 0; i < COUNT; i++) {
		held[i] = heap_malloc(size);
		must(held[i] && ledger_take(held[i]), "%p was handed out twice after misuse", held[i]);
		fill(held[i], size, i);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		must(holds(held[i], size, i), "blocks overlap after misuse");
		heap_free(held[i]);
	}
}

static void told_once(const void *p, const char *call, size_t block)
{
	cr_assert_eq(seen.misuse, 1, "told %u times", seen.misuse);
	cr_assert_eq(seen.last, p, "told of %p instead of %p", seen.last, p);
	cr_assert_str_eq(seen.call, call);
	cr_assert(seen.what[0], "no reason given");
	if (block)
		cr_assert_eq(seen.block, block, "block size told as %zu", seen.block);
	cr_assert_eq(seen.evidence, 0, "misuse is no evidence");
	cr_assert_eq(seen.foreign_free + seen.foreign_realloc, 0, "a pointer of the window is not foreign");
	seen.misuse = 0;
}

Test(misuse, double_free_is_told_once)
{
	static const size_t sizes[] = { 1, 24, 100, 1000, 4096, 9000, 40000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		void *p = heap_malloc(sizes[i]);
		size_t block = span_of(p)->block;
		heap_free(p);
		cr_assert_eq(seen.misuse, 0);
		heap_free(p);
		told_once(p, "free", block);
	}
	heap_is_whole(24);
}

Test(misuse, double_free_long_after_is_told_once)
{
	/* The slot wanders: freed list, span list, alloc list. At no station is a second free taken. */
	enum { COUNT = 2000 };
	static void *held[COUNT];
	for (unsigned i = 0; i < COUNT; i++)
		held[i] = heap_malloc(48);
	for (unsigned i = 0; i < COUNT; i++)
		heap_free(held[i]);
	cr_assert_eq(seen.misuse, 0);
	for (unsigned i = 0; i < COUNT; i++)
		heap_free(held[i]);
	cr_assert_eq(seen.misuse, COUNT);
	seen.misuse = 0;
	heap_is_whole(48);
}

Test(misuse, double_free_of_a_large_block)
{
	uint8_t *p = heap_malloc(300000), *keep = heap_malloc(300000);
	heap_free(p);
	heap_free(p);
	told_once(p, "free", 0);
	heap_free(keep);
}

Test(misuse, interior_free_is_told_and_ignored)
{
	static const size_t sizes[] = { 40, 100, 1000, 9000, 300000 };
	static const size_t offsets[] = { 1, 8, 15, 16, 24, 32 };
	for (unsigned i = 0; i < NELEM(sizes); i++)
		for (unsigned k = 0; k < NELEM(offsets); k++) {
			uint8_t *p = heap_malloc(sizes[i]);
			size_t block = sizes[i] <= SMALL_MAX ? span_of(p)->block : 0;
			fill(p, sizes[i], k);
			heap_free(p + offsets[k]);
			told_once(p + offsets[k], "free", block);
			must(holds(p, sizes[i], k) && state_is_allocated(state_now(p)), "the block itself was freed");
			heap_free(p);
			must(seen.misuse == 0, "the proper free was refused");
		}
	uint8_t *large = heap_malloc(300000);
	heap_free(large + 2 * PAGE);
	told_once(large + 2 * PAGE, "free", 0);
	heap_free(large);
	cr_assert_eq(seen.misuse, 0);
	heap_is_whole(100);
}

Test(misuse, free_of_a_slot_never_handed_out)
{
	uint8_t *p = heap_malloc(5000);
	struct span *s = span_of(p);
	uintptr_t last = span_address(s, s->slots - 1);
	heap_free((void *)last);
	told_once((void *)last, "free", s->block);
	heap_free(p);
	heap_is_whole(5000);
}

Test(misuse, free_in_a_span_tail)
{
	uint8_t *p = heap_malloc(5000);
	struct span *s = span_of(p);
	uintptr_t tail = span_address(s, s->slots);
	must(tail < s->start + PAGE, "blocks of 5000 were meant to leave a tail");
	heap_free((void *)tail);
	told_once((void *)tail, "free", 0);
	heap_free(p);
}

Test(misuse, free_in_a_free_run)
{
	void *p = heap_malloc(100);
	unsigned found = 0;
	for (uintptr_t w = arena.base; w < arena.base + arena.limit && found < 5; w += PAGE)
		if (arena_span(w)->slots == 0) {
			heap_free((void *)(w + 64));
			told_once((void *)(w + 64), "free", 0);
			found++;
		}
	cr_assert_gt(found, 0, "a fresh arena has no free page");
	heap_free(p);
}

#if !CONFIG_RESERVE /* those builds reserve their windows, so nobody else's mapping can lie inside */
Test(misuse, pointers_into_a_hole_of_the_window_are_foreign)
{
	/* Somebody else's mapping in the path of growth lies inside the window, yet is not ours: perhaps another malloc's. */
	uintptr_t end = arena.base + load_acquire(&arena.limit);
	char *hole = mmap((void *)end, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	(void)hole; /* taken already: a hole all the same */
	void *held[64];
	unsigned n = 0;
	while (n < NELEM(held) && !(arena_contains(end) && arena_contains(end + PAGE)))
		held[n++] = heap_malloc(8u << 20);
	heap_free((void *)(end + 128));
	cr_assert_eq(heap_realloc((void *)(end + 128), 10), foreign_block);
	cr_assert_eq(heap_usable((void *)(end + 128)), 4711);
	cr_assert(seen.foreign_free == 1 && seen.foreign_realloc == 1 && seen.misuse == 0 && seen.evidence == 0);
	while (n)
		heap_free(held[--n]);
}
#endif

/* Any slot of span s's class that waits on an alloc list. */
static struct { uintptr_t at; size_t block; } cached;
static bool pick_cached(struct span *s, uint32_t slot)
{
	if (s->block == cached.block)
		cached.at = span_address(s, slot);
	return true;
}

Test(misuse, free_of_a_slot_on_an_alloc_list_is_caught)
{
	/* Its byte already says allocated; only the key in its second word tells. */
	void *p = heap_malloc(200);
	cached.block = span_of(p)->block;
	cr_assert(heap_each_cached(pick_cached));
	cr_assert_neq(cached.at, 0, "a refill cached nothing");
	heap_free((void *)cached.at);
	told_once((void *)cached.at, "free", cached.block);
	cr_assert(heap_each_cached(pick_cached), "the list broke");
	heap_free(p);
	heap_is_whole(200);
}

Test(misuse, stale_free_after_the_slot_came_back_to_an_alloc_list)
{
	enum { COUNT = 64 };
	void *held[COUNT];
	for (unsigned i = 0; i < COUNT; i++)
		held[i] = heap_malloc(600);
	void *stale = held[COUNT / 2]; /* the first ones are of another class */
	cached.block = span_of(stale)->block;
	for (unsigned i = 0; i < COUNT; i++)
		heap_free(held[i]);
	static void *spent[100000];
	unsigned n = 0;
	for (; n < NELEM(spent); n++) {
		if (state_is_allocated(state_now(stale)))
			break;
		spent[n] = heap_malloc(600);
	}
	must(n < NELEM(spent), "the freed slot never came back");
	if (n == 0 || spent[n - 1] != stale) { /* it waits on the list */
		heap_free(stale);
		told_once(stale, "free", cached.block);
	}
	for (unsigned i = 0; i < n; i++)
		if (spent[i])
			heap_free(spent[i]);
	cr_assert_eq(seen.misuse, 0);
}

Test(misuse, stale_free_of_a_zeroed_slot_is_caught)
{
	/* Slots known to be zero carry the key with bit 0 flipped. */
	void *p = heap_calloc(1, 300);
	cached.block = span_of(p)->block;
	cr_assert(heap_each_cached(pick_cached));
	if (cached.at) {
		heap_free((void *)cached.at);
		told_once((void *)cached.at, "free", cached.block);
	}
	heap_free(p);
	heap_is_whole(300);
}

Test(misuse, a_block_whose_contents_look_like_a_key_can_be_freed)
{
	/* The program may hold what looks like the key of some other slot, or nearly of its own. */
	for (unsigned i = 0; i < 100; i++) {
		struct slot *p = heap_malloc(64);
		p->next = (struct slot *)p;
		p->key = slot_key(state_at(p)) ^ (i % 2 ? 16 : 1);
		heap_free(p);
	}
	cr_assert_eq(seen.misuse, 0);
	heap_is_whole(64);
}

Test(misuse, realloc_of_what_is_no_block_is_told_once)
{
	uint8_t *p = heap_malloc(100), *large = heap_malloc(300000), *keep = heap_malloc(300000);
	size_t block = span_of(p)->block;
	heap_free(p);
	heap_realloc(p, 200);
	told_once(p, "realloc", block);
	heap_free(large);
	heap_realloc(large, 400000);
	told_once(large, "realloc", 0);
	p = heap_malloc(100);
	fill(p, 100, 1);
	heap_realloc(p + 16, 50);
	told_once(p + 16, "realloc", block);
	cr_assert(holds(p, 100, 1));
	heap_free(p);
	heap_free(keep);
	cr_assert_eq(seen.misuse, 0);
	heap_is_whole(100);
}

Test(misuse, foreign_pointers_go_to_the_foreign_hooks)
{
	static char data[64];
	char local[64];
	void *const foreign[] = { data, local, (void *)8, (void *)(arena.base - 16), (void *)(arena.base + arena.limit), (void *)UINTPTR_MAX };
	for (unsigned i = 0; i < NELEM(foreign); i++) {
		memset(&seen, 0, sizeof seen);
		heap_free(foreign[i]);
		must(seen.foreign_free == 1 && seen.last == foreign[i], "free of foreign %p", foreign[i]);
		must(heap_realloc(foreign[i], 100) == foreign_block, "realloc of foreign %p", foreign[i]);
		must(seen.foreign_realloc == 1 && seen.last == foreign[i], "realloc of foreign %p", foreign[i]);
		must(heap_usable(foreign[i]) == 4711 && seen.foreign_usable == 1, "usable of foreign %p", foreign[i]);
		must(seen.misuse == 0 && seen.evidence == 0, "foreign %p was misuse", foreign[i]);
	}
}

Test(misuse, pointers_that_no_malloc_gave_are_told_once)
{
	static char data[64];
	void *const wild[] = { data, (void *)1, (void *)(arena.base - 16), (void *)(arena.base + arena.limit), (void *)UINTPTR_MAX };
	nobody_knows = true;
	for (unsigned i = 0; i < NELEM(wild); i++) {
		heap_free(wild[i]);
		told_once(wild[i], "free", 0);
		cr_assert_null(heap_realloc(wild[i], 100));
		told_once(wild[i], "realloc", 0);
	}
	nobody_knows = false;
	heap_is_whole(100);
}

Test(misuse, foreign_pointers_without_hooks_are_ignored)
{
	static char data[64];
	heap_hooks = (struct heap_hooks){ 0 };
	heap_free(data);
	cr_assert_null(heap_realloc(data, 100));
	cr_assert_eq(heap_usable(data), 0);
	void *p = heap_malloc(100);
	heap_free(p);
	heap_free(p); /* nobody to tell: ignored */
	heap_is_whole(100);
}
