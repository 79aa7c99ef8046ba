/*
 * What a report asks of the marker beyond "is it reachable": by pointers to the start of blocks alone?
 *
 *   1. mark_set_aside, before the first root word: an edge that leads to the inside of a block is not followed but set aside, unless the word
 *      stood on a live stack or in a register (a loop's cursor is all that many a function keeps of its array), or `as_good` knows
 *      why that place of the block is pointed to (a count in front of an array, a second base class).
 *   2. Roots, mark_drain. What is marked now hangs on starts.
 *   3. mark_follow_aside, mark_drain: inner pointers.
 *   4. mark_follow_offsets, mark_drain: the rest, as in any mark. What is marked in the end is the same as ever.
 *
 * What was set aside can be read until mark_end. Where there is no memory for it an edge is followed at once: the block is then called
 * reachable, not possible. Only the careful loop of mark.c asks here.
 */
#include "base/fault.h"
#include "heap/sites.h"
#include "mark/extra.h"
#include "os/os.h"

enum { FIRST_BYTES = 4096, FOLLOWED = 1024 };

static struct {
	bool (*as_good)(uintptr_t w, const struct span *s, uint32_t slot);
	uintptr_t *words;
	size_t count, room;
	bool cut;
} aside;

bool mark_set_aside(bool (*as_good)(uintptr_t w, const struct span *s, uint32_t slot))
{
	if (!aside.words && !(aside.words = os_map(FIRST_BYTES)))
		return false;
	if (!aside.room)
		aside.room = FIRST_BYTES / sizeof *aside.words;
	aside.as_good = as_good;
	marker.setting_aside = marker.odd = marker.no_offsets = marker.exact = true;
	return true;
}

static bool still_wanted(uintptr_t w)
{
	const struct span *s = arena_span(w);
	uint32_t slot = span_slot(s, w);
	return slot < s->slots && state_is_block(s->state[slot]) && !state_is_marked(s->state[slot]);
}

/* Most blocks that an inner pointer was seen to are reached by another one sooner or later. */
static void drop_marked(void)
{
	size_t kept = 0;
	for (size_t i = 0; i < aside.count; i++)
		if (still_wanted(aside.words[i]))
			aside.words[kept++] = aside.words[i];
	aside.count = kept;
}

static bool make_room(void)
{
	drop_marked();
	if (aside.count <= aside.room / 2)
		return true;
	size_t bytes = aside.room * sizeof *aside.words;
	uintptr_t *bigger = os_remap(aside.words, bytes, 2 * bytes);
	if (!bigger)
		return aside.count < aside.room;
	aside.words = bigger;
	aside.room *= 2;
	return true;
}

bool aside_take(uintptr_t w, const struct span *s, uint32_t slot)
{
	uint8_t b = s->state[slot];
	if (!state_is_block(b) || state_is_marked(b))
		return true; /* nothing to be followed there */
	if (aside.as_good(w, s, slot))
		return false;
	if (aside.count && aside.words[aside.count - 1] == w)
		return true;
	if (aside.count == aside.room && !make_room()) {
		aside.cut = true;
		return false;
	}
	aside.words[aside.count++] = w;
	return true;
}

uintptr_t aside_start(uintptr_t w)
{
	const struct span *s = arena_span(w);
	uint32_t slot = span_slot(s, w);
	return slot < s->slots ? span_address(s, slot) : w;
}

bool mark_follow_aside(void)
{
	marker.setting_aside = false;
	drop_marked();
	for (size_t i = 0; i < aside.count; i++) {
		mark_word(aside.words[i]);
		if (i % FOLLOWED == 0) /* or all of them would stand on the edge stack at once */
			mark_drain();
	}
	return !aside.cut;
}

const uintptr_t *mark_aside(size_t *count)
{
	*count = aside.count;
	return aside.words;
}

void aside_begin(void)
{
	marker.setting_aside = marker.exact = aside.cut = false;
	aside.count = 0;
}

void aside_end(void)
{
	if (aside.words)
		os_unmap(aside.words, aside.room * sizeof *aside.words);
	aside.words = NULL;
	aside.count = aside.room = 0;
}

void aside_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	if (aside.words)
		fn((uintptr_t)aside.words, (uintptr_t)(aside.words + aside.room));
	fn((uintptr_t)&aside, (uintptr_t)(&aside + 1));
}

/* -- what else a report reads -- */

uintptr_t mark_block_end(const struct span *s, uint32_t slot)
{
	size_t extent = fault(FAULT_whole_slots) ? s->block : sites_extent(s, slot);
	return span_address(s, slot) + (extent == s->block ? align_up(extent, 8) : align_down(extent + 4, 8));
}

/* Nothing but zeros there, pages that nobody touched? */
static bool is_absent(uintptr_t low, uintptr_t high)
{
	uintptr_t end;
	return arena_contains(low) && absent_skip(arena_span(low), low, high, &end) == high;
}

READS_ANYTHING bool mark_read(uintptr_t at, size_t words, uintptr_t *out)
{
	const word_t *from = (const word_t *)at;
	if (is_absent(at, at + 8 * words)) {
		__builtin_memset(out, 0, 8 * words);
		return true;
	}
	if (doubtful_overlaps(at, at + 8 * words) && !(from = doubtful_read(at, at + 8 * words, COPY_PROTECTED)))
		return false;
	for (size_t i = 0; i < words; i++)
		out[i] = from[i];
	return true;
}

READS_ANYTHING size_t mark_edges_of(uintptr_t low, uintptr_t high, size_t block, uintptr_t *out)
{
	const word_t *words = (const word_t *)low, *end;
	if (is_absent(low, high))
		return 0;
	if (doubtful_overlaps(low, high) && !(words = doubtful_read(low, high, COPY_PROTECTED)))
		return 0;
	end = words + (high - low) / 8;
	uintptr_t *top = out;
	if (block >= JMP_BUF)
		top = scan_words(words, end, out);
	else
		for (const word_t *p = words; p < end; p++) {
			*top = *p;
			top += *p - marker.base < marker.limit;
		}
	if (block < JMP_BUF)
		top = extra_integers(words, end, top);
	if (marker.extra)
		top = extra_scan(words, end, top);
	return (size_t)(top - out);
}
