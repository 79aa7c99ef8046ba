/*
 * Size classes: exhaustive where the space is small enough, which it is: every class, every byte offset of a span, every
 * size up to SMALL_MAX. The reciprocal is the one thing that turns an interior pointer into a slot, so a single wrong
 * offset would mark the wrong block.
 */
#include "heap_watch.h"

TestSuite(classes, .init = heap_begin, .timeout = 60);

Test(classes, blocks_are_multiples_of_16_and_ascend)
{
	for (unsigned c = 0; c < CLASSES; c++) {
		must(class_info[c].block >= 16 && class_info[c].block % 16 == 0, "class %u has blocks of %u", c, class_info[c].block);
		must(class_info[c].block <= SMALL_MAX, "class %u has blocks of %u", c, class_info[c].block);
		if (c > 0 && c != NATURAL)
			must(class_info[c].block > class_info[c - 1].block, "class %u is not above class %u", c, c - 1);
	}
}

Test(classes, spans_hold_their_slots_with_little_tail)
{
	for (unsigned c = 0; c < CLASSES; c++) {
		const struct class_info *k = &class_info[c];
		size_t span = (size_t)k->pages * PAGE;
		must(k->pages == (k->block <= 8192 ? 1u : 8u), "class %u: %u pages for blocks of %u", c, k->pages, k->block);
		must(k->slots == span / k->block, "class %u: %u slots of %u in %zu", c, k->slots, k->block, span);
		must(span - (size_t)k->slots * k->block <= span / 8, "class %u wastes over an eighth of its span", c);
		must(k->batch >= 1 && k->batch <= 256, "class %u: a refill of %u", c, k->batch);
		must(k->batch == 1 || (size_t)k->batch * k->block <= 8192, "class %u: a refill of over 8 KiB", c);
		must(k->room >= 1, "class %u: a bin without room", c);
	}
}

Test(classes, reciprocal_is_exact_for_every_offset_of_every_span)
{
	for (unsigned c = 0; c < CLASSES; c++) {
		const struct class_info *k = &class_info[c];
		struct span s = { .start = arena.base + 3 * (uintptr_t)PAGE, .magic = k->magic, .block = k->block };
		uintptr_t end = (uintptr_t)k->pages * PAGE;
		uint32_t slot = 0, within = 0;
		for (uintptr_t offset = 0; offset < end; offset++) {
			if (span_slot(&s, s.start + offset) != slot)
				cr_assert_fail("class %u offset %zu: slot %u, not %u", c, (size_t)offset,
					span_slot(&s, s.start + offset), slot);
			if (++within == k->block) {
				within = 0;
				slot++;
			}
		}
		for (uint32_t i = 0; i < k->slots; i++)
			must(span_slot(&s, span_address(&s, i)) == i, "class %u: slot %u and its address disagree", c, i);
	}
}

Test(classes, a_large_span_has_one_slot_whatever_the_offset)
{
	struct span s = { .start = arena.base, .magic = 0, .block = 1u << 30, .slots = 1 };
	for (uintptr_t offset = 0; offset < 1u << 30; offset += 4097)
		must(span_slot(&s, s.start + offset) == 0, "offset %zu", (size_t)offset);
}

Test(classes, every_size_has_room_for_the_byte_behind_it)
{
	for (size_t n = 0; n <= SMALL_MAX; n++) {
		unsigned c = class_of(n);
		must(c < NATURAL, "%zu bytes: class %u", n, c);
		uint32_t block = class_info[c].block;
		if (n && n % OS_PAGE == 0)
			must(block > n || (block == n && class_info[c].exact), "%zu bytes in a block of %u", n, block);
		else
			must(block >= n + 1, "%zu bytes in a block of %u leave no spare byte", n, block);
		must(class_usable(c) >= n, "%zu bytes: usable are %zu", n, class_usable(c));
	}
	for (size_t n = SMALL_MAX + 1; n < SMALL_MAX + 5000; n++)
		must(class_of(n) == CLASS_LARGE, "%zu bytes have class %u", n, class_of(n));
	must(class_of(PTRDIFF_MAX) == CLASS_LARGE, "a huge size has a class");
	must(class_of(SIZE_MAX) == CLASS_LARGE, "size + 1 wraps to a class");
}

Test(classes, waste_is_at_most_a_quarter)
{
	for (size_t n = 0; n <= SMALL_MAX; n++) {
		uint32_t block = class_info[class_of(n)].block;
		size_t need = n && n % OS_PAGE == 0 ? n : n + 1, slack = need / 4 > 15 ? need / 4 : 15;
		must(block - need <= slack, "%zu bytes in a block of %u", n, block);
	}
}

Test(classes, the_smallest_class_that_fits_is_taken)
{
	for (size_t n = 0; n <= SMALL_MAX; n++) {
		unsigned c = class_of(n);
		if (c == 0)
			continue;
		const struct class_info *below = &class_info[c - 1];
		bool fits = below->block >= n + 1 || (n && n % OS_PAGE == 0 && below->exact && below->block == n);
		must(!fits, "%zu bytes went to class %u though class %u holds them", n, c, c - 1);
	}
}

Test(classes, table_agrees_with_class_of)
{
	for (size_t n = 0; n < TABLE_MAX; n++)
		must(class_table[n >> 4] == class_of(n), "%zu bytes: table %u, class_of %u", n, class_table[n >> 4], class_of(n));
}

Test(classes, usable_leaves_the_spare_byte_out)
{
	for (unsigned c = 0; c < CLASSES; c++)
		must(class_usable(c) == class_info[c].block - (class_info[c].exact ? 0 : 1), "class %u", c);
	for (unsigned c = NATURAL; c < CLASSES; c++)
		must(class_info[c].exact, "natural class %u is not exact", c);
}

/* What "class_of_aligned holds it" means, written down a second time. */
static bool serves(unsigned c, size_t align, size_t size)
{
	const struct class_info *k = &class_info[c];
	return k->block % align == 0 && (k->block >= size + 1 || (k->exact && k->block >= size));
}

Test(classes, every_slot_of_an_aligned_class_is_aligned)
{
	for (size_t align = 1; align <= PAGE; align *= 2) {
		for (size_t size = 0; size <= SMALL_MAX + 100; size++) {
			unsigned c = class_of_aligned(align, size);
			if (c == CLASS_LARGE)
				continue;
			must(c < CLASSES, "align %zu size %zu: class %u", align, size, c);
			must(serves(c, align, size), "align %zu size %zu: blocks of %u", align, size, class_info[c].block);
			must(class_usable(c) >= size, "align %zu size %zu: usable %zu", align, size, class_usable(c));
		}
	}
}

Test(classes, aligned_blocks_go_large_only_when_no_class_serves)
{
	for (size_t align = 1; align <= PAGE; align *= 2)
		for (size_t size = 0; size <= SMALL_MAX; size += size < 512 ? 1 : 61)
			if (class_of_aligned(align, size) == CLASS_LARGE)
				for (unsigned c = 0; c < CLASSES; c++)
					must(!serves(c, align, size), "align %zu size %zu: class %u would do", align, size, c);
}

Test(classes, natural_classes_keep_aligned_blocks_small)
{
	/* posix_memalign(64, 64) and friends are common: doubling them would cost more than the spare byte is worth. */
	for (size_t align = 64; align <= 2048; align *= 2) {
		unsigned c = class_of_aligned(align, align);
		must(c != CLASS_LARGE && class_info[c].block <= 2 * align, "align %zu of the same size takes %u", align,
			c == CLASS_LARGE ? 0 : class_info[c].block);
	}
}
