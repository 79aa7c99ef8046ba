/*
 * The independent check (verify=1): after the drain, no marked block may hold a word that leads to a block which is not
 * marked. Written as plainly as it can be: no stack, no ring, no reciprocals (a division finds the slot), so that a fault of
 * the marker or of its tables is not repeated here.
 *
 * Blocks on alloc lists are marked but were not scanned: what they hold is left over from their last life. Their bytes are
 * set aside for the check (both top bits cleared, so that they are neither followed nor missed) and restored after it.
 */
#include "mark/inside.h"
#include "base/text.h"
#include "os/os.h"

enum { TOLD = 5 };

static uint8_t **aside; /* state bytes of cached slots, in an own mapping */
static size_t aside_count, aside_room;
static size_t violations;

static bool put_aside(struct span *s, uint32_t slot)
{
	if (aside_count == aside_room) {
		size_t bytes = aside_room * sizeof *aside;
		uint8_t **bigger = bytes ? os_remap(aside, bytes, bytes * 2) : os_map(PAGE);
		if (!bigger)
			return false;
		aside = bigger;
		aside_room = (bytes ? bytes * 2 : PAGE) / sizeof *aside;
	}
	if (state_is_marked(s->state[slot]))
		aside[aside_count++] = &s->state[slot];
	return true;
}

__attribute__((no_sanitize_address, no_sanitize_thread)) static void check_words(uintptr_t block, const word_t *p, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		uintptr_t w = p[i];
		if (!arena_contains(w))
			continue;
		const struct span *s = arena_span(w);
		if (!s->slots || !s->block)
			continue;
		uint64_t slot = s->kind == SPAN_LARGE ? 0 : (w - s->start) / s->block;
		if (slot >= s->slots)
			continue;
		uint8_t b = s->state[slot];
		if (!state_is_block(b) || state_is_marked(b))
			continue;
		if (violations++ < TOLD)
			say("verify: block %p holds %p: block %p (%lu bytes, state %x) is not marked: please report this", (void *)block,
			    (void *)w, (void *)span_address(s, (uint32_t)slot), (unsigned long)s->block, b);
	}
}

static void check_block(uintptr_t block, uintptr_t end)
{
	const struct span *s = arena_span(block);
	for (uintptr_t low = block, high; (low = absent_skip(s, low, end, &high)) < end; low = high) {
		high = high - low > PIECE ? low + PIECE : high;
		const word_t *words = (const word_t *)low;
		if (marker.odd && doubtful_overlaps(low, high))
			words = doubtful_read(low, high, COPY_PROTECTED);
		if (words)
			check_words(block, words, (high - low) / 8);
	}
}

size_t mark_verify(void)
{
	violations = 0;
	aside_count = 0;
	if (!heap_each_cached(put_aside)) {
		say("verify: a list of cached slots could not be walked: this mark is not checked: ignore unless it repeats");
		return 0;
	}
	for (size_t i = 0; i < aside_count; i++)
		*aside[i] &= STATE_STAMP;
	uint32_t spans = span_count();
	for (uint32_t i = 0; i < spans; i++) {
		const struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL && s->kind != SPAN_LARGE)
			continue;
		for (uint32_t slot = 0; slot < s->slots; slot++)
			if (state_is_marked(s->state[slot]))
				check_block(span_address(s, slot), marker.exact ? mark_block_end(s, slot) : span_address(s, slot) + align_up(s->block, 8));
	}
	for (size_t i = 0; i < aside_count; i++)
		*aside[i] |= STATE_MARKED;
	return violations;
}
