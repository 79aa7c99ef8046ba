/*
 * Blocks whose pages the program altered (altered.h).
 *
 *   before mprotect, mmap MAP_FIXED, madvise ... ──▶ the byte of each block there: STATE_ALTERED
 *   free: the byte is not what the fast path wants ──▶ altered_restore ──▶ fresh pages over its own ──▶ as any other free
 *                                                            └──▶ they can't be had ──▶ the slot rests for ever
 *   lost: no verdict takes STATE_ALTERED ──▶ it stays, as it does with a malloc that collects nothing
 *
 * The byte is a condemned one of stamp 0, which no cycle has: the marker finds a block, and free's fast path finds none, at no cost to either.
 *
 * What was unmapped may be another's memory by now (a thread's stack, a library), so nothing is mapped there: `gone` has those ranges.
 */
#include "heap/altered.h"
#include "heap/cache_slow.h"
#include "base/fault.h"
#include "os/os.h"

enum { GONE = 256 };

static LARGE struct gone {
	uintptr_t low, high; /* atomic. low 0: free; 1: somebody writes it */
} gone[GONE];
static bool gone_any, gone_lost; /* atomic. gone_lost: there were too many ranges, any block may have lost pages */

static void alter(uint8_t *state)
{
	uint8_t seen = load_relaxed(state);
	/* Not inside a stop, where marks stand in the bytes: there the ranges are told before the first mark. */
	while (state_is_block(seen) && !cas(state, &seen, STATE_ALTERED)) {
	}
}

/* [low, high) lies in the window. */
static void alter_all(uintptr_t low, uintptr_t high)
{
	while (low < high) {
		struct span *s = arena_span(low);
		uintptr_t end = align_down(low, PAGE) + PAGE;
		if (span_holds_blocks(s) && low >= s->start) {
			const uint32_t first = span_slot(s, low), last = span_slot(s, (end < high ? end : high) - 1);
			uint32_t slots = 1;
			uint8_t *state = s->kind == SPAN_LARGE ? &s->byte : span_peek_bytes(s, &slots);
			for (uint32_t i = first; i <= last && i < slots; i++)
				alter(&state[i]);
		}
		low = end;
	}
}

void heap_pages_altered(uintptr_t low, uintptr_t high)
{
	const uintptr_t end = arena.base + load_acquire(&arena.limit);
	if (LIKELY(low >= end || high <= arena.base || high <= low) || fault(FAULT_no_altered))
		return;
	alter_all(low > arena.base ? low : arena.base, high < end ? high : end);
}

bool heap_served;

void heap_pages_served(uintptr_t low, uintptr_t high)
{
	if (high > low && high > arena.base && low < arena.base + load_acquire(&arena.limit))
		store_relaxed(&heap_served, true);
	heap_pages_altered(low, high);
}

static bool overlaps_gone(uintptr_t low, uintptr_t high)
{
	if (!load_acquire(&gone_any))
		return false;
	for (unsigned i = 0; i < GONE; i++)
		if (load_acquire(&gone[i].low) < high && low < load_relaxed(&gone[i].high))
			return true;
	return load_relaxed(&gone_lost);
}

void heap_pages_gone(uintptr_t low, uintptr_t high)
{
	const uintptr_t end = arena.base + load_acquire(&arena.limit);
	if (LIKELY(low >= end || high <= arena.base || high <= low))
		return;
	heap_pages_altered(low, high);
	for (unsigned i = 0; load_acquire(&gone_any) && i < GONE; i++)
		if (load_acquire(&gone[i].low) <= low && high <= load_relaxed(&gone[i].high)) /* each cycle tells of it again */
			return;
	store_release(&gone_any, true);
	for (unsigned i = 0; i < GONE; i++) {
		uintptr_t free = 0;
		if (load_relaxed(&gone[i].low) || !cas(&gone[i].low, &free, (uintptr_t)1))
			continue;
		store_relaxed(&gone[i].high, high);
		store_release(&gone[i].low, low);
		return;
	}
	store_release(&gone_lost, true);
}

void heap_pages_back(uintptr_t low, uintptr_t high)
{
	if (LIKELY(!load_acquire(&gone_any)))
		return;
	for (unsigned i = 0; i < GONE; i++) {
		const uintptr_t from = load_acquire(&gone[i].low);
		if (from > 1 && from >= low && load_relaxed(&gone[i].high) <= high) {
			store_relaxed(&gone[i].high, 0);
			store_release(&gone[i].low, 0);
		}
	}
}

bool altered_restore(const struct span *s, uintptr_t start)
{
	const uintptr_t end = s->kind == SPAN_LARGE ? start + s->pages * (size_t)PAGE : start + s->block;
	const uintptr_t low = align_up(start, OS_PAGE), high = align_down(end, OS_PAGE);
	if (overlaps_gone(start, end) || (low < high && !os_map_over(low, high - low)))
		return false;
	/* Pages at its ends that others have a part of: what is altered there is for the program to undo. */
	return (start == low && end == high) || (os_writable(start) && os_writable(end - sizeof(uintptr_t)));
}
