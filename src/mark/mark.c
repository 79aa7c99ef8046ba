/*
 * The marker: from root words to marked state bytes.
 *
 * 1. A word is filtered against the arena's window by one subtract and compare, and pushed *raw* on the edge stack: the page
 *    map, the span and the state byte are not touched yet, each would be a cache miss.
 * 2. An edge that is popped is looked up (page map, span, slot); the lines that come next, its state byte and the head of
 *    its block, are prefetched, and it enters a FIFO ring of RING entries.
 * 3. An entry that leaves the ring finds both lines in the cache: the byte is tested and set, and the words of the block
 *    are filtered and pushed. So RING misses are under way at any time, where plain depth-first waits for each.
 *
 * What must hold: a block is scanned by whoever sets its byte, once. The stack has room for one piece more than `full` tells,
 * so a scan never checks; blocks above PIECE go to the stack of ranges, and their next piece is taken when no edge is left.
 * When a stack can't grow, the block stays marked but not scanned and `overflow` is set; after the drain every marked block is scanned
 * again, each with an empty stack (one piece always fits), until a whole pass drops nothing. Each pass that drops has
 * marked a new block, so this ends, and no work is ever lost.
 */
#include "mark/extra.h"
#include "mark/filter.h"
#include "mark/inside.h"
#include "base/fault.h"
#include "heap/sites.h"
#include "os/os.h"

enum { RING = 32 /* more than a core's line-fill buffers (10-16) can hold */ };

struct marker marker;
size_t mark_stack_bytes;
bool mark_stack_fixed;

struct entry {
	uint8_t *state;
	uintptr_t block;
	uint64_t size;
	const struct span *span; /* of the careful loop with `exact` */
};

/* -- scanning -- */

READS_ANYTHING uintptr_t *scan_words(const word_t *p, const word_t *end, uintptr_t *top)
{
	if (marker.avx2 && (size_t)(end - p) >= VECTOR_FROM / 8)
		return filter_avx2(p, end, top);
	if (marker.mangled)
		top = extra_mangled(p, end, top);
	return filter(p, end, top, marker.base, marker.limit);
}

/* The odd words that two pieces of a block share. They are no pointers if there is nothing behind `at`: no half of one is zero, and with
 * align=2 or 1 bytes of nothing count as what they are. */
static void scan_seam(const struct span *s, uintptr_t at, uintptr_t high)
{
	uintptr_t end;
	if (!marker.odd_words || (marker.odd_step == 4 && absent_skip(s, at, high, &end) != at))
		return;
	for (uintptr_t from = at - 8 + marker.odd_step; from < at; from += marker.odd_step) {
		const void *seam = (const void *)from;
		if (marker.odd && doubtful_overlaps(from, from + 8) && !(seam = doubtful_read(from, from + 8, COPY_PROTECTED)))
			marker.unreadable = true;
		else
			marker.top = extra_seam(seam, marker.top);
	}
}

/* One piece of a block of `size` bytes, at most PIECE bytes; the stack has room for it. */
INLINE uintptr_t *scan_piece(uintptr_t block, size_t size, uintptr_t low, uintptr_t high, uintptr_t *top, bool careful)
{
	uintptr_t delta = relative_to(block);
	if (careful && doubtful_overlaps(low, high)) {
		const word_t *copy = doubtful_read(low, high, COPY_PROTECTED);
		if (!copy) {
			marker.unreadable = true;
			return top;
		}
		top = filter_block(copy, copy + (high - low) / 8, top, marker.base, marker.limit, delta);
		if (size >= marker.mangled_from)
			top = extra_mangled(copy, copy + (high - low) / 8, top);
		return marker.extra ? extra_scan(copy, copy + (high - low) / 8, top) : top;
	}
	if (high - low < VECTOR_FROM || !marker.avx2) {
		top = filter_block((const word_t *)low, (const word_t *)high, top, marker.base, marker.limit, delta);
		if (UNLIKELY(size >= marker.mangled_from)) /* no vectors here, or the end of a block above PIECE */
			top = extra_mangled((const word_t *)low, (const word_t *)high, top);
	} else
		top = filter_block_avx2((const word_t *)low, (const word_t *)high, top, delta);
	return UNLIKELY(marker.extra) ? extra_scan((const word_t *)low, (const word_t *)high, top) : top;
}

/* Takes the next piece of a large block. Edges and ring are empty, so there is room. false: nothing is left. */
static READS_ANYTHING bool next_piece(void)
{
	if (!marker.wide_top)
		return false;
	struct wide *w = &marker.wide[marker.wide_top - 1];
	const struct span *s = arena_span(w->low);
	const uintptr_t block = span_address(s, span_slot(s, w->low)), high = w->high;
	uintptr_t end, low = absent_skip(s, w->low, high, &end);
	end = end - low > PIECE ? low + PIECE : end;
	w->low = end;
	if (end == high)
		marker.wide_top--;
	if (low == high)
		return true;
	marker.top = scan_piece(block, s->block, low, end, marker.top, marker.odd);
	if (end < high)
		scan_seam(s, end, high);
	return true;
}

/* -- following edges -- */

/* Steps 1 to 2 for one edge. false: no block is there. */
INLINE bool look_up(uintptr_t w, struct entry *e, bool careful)
{
	struct span *s = &arena.spans[load_relaxed(&arena.page_map[(w - marker.base) >> PAGE_SHIFT])];
	uint32_t slot = span_slot(s, w);
	if (UNLIKELY(slot >= s->slots)) /* sentinel, free run, or the tail behind the last slot */
		return false;
	if (careful && marker.no_interior && w != span_address(s, slot))
		return false;
	if (careful && marker.lose_edges && ++marker.lost % 1000 == 0)
		return false;
	if (careful && marker.setting_aside && w != span_address(s, slot) && aside_take(w, s, slot))
		return false;
	e->state = s->state + slot;
	e->block = span_address(s, slot);
	e->size = s->block;
	if (careful && marker.exact)
		sites_prefetch(e->span = s, slot);
	return true;
}

INLINE void drain_loop(bool careful)
{
	struct entry ring[RING];
	unsigned in = 0, out = 0;
	uintptr_t *top = marker.top;
	for (;;) {
		while (top > marker.edges && in - out < RING) {
			struct entry *e = &ring[in % RING];
			if (!look_up(*--top, e, careful))
				continue;
			__builtin_prefetch(e->state, 1);
			__builtin_prefetch((void *)e->block);
			if (e->size > 64) {
				__builtin_prefetch((void *)(e->block + 64));
				if (e->size >= VECTOR_FROM) { /* the core's own prefetcher takes over after a few lines */
					__builtin_prefetch((void *)(e->block + 128));
					__builtin_prefetch((void *)(e->block + 192));
				}
			}
			in++;
		}
		if (in == out) {
			marker.top = top;
			if (!next_piece())
				return;
			top = marker.top;
			continue;
		}
		const struct entry *e = &ring[out++ % RING];
		uint8_t b = *e->state;
		if (careful && marker.no_return && state_is_condemned(b))
			continue;
		if ((uint8_t)((b >> 6) - 1) > 1) /* neither condemned (1) nor allocated (2): no block, or marked already */
			continue;
		*e->state = b | STATE_MARKED;
		marker.blocks++;
		marker.bytes += e->size;
		uintptr_t end = careful && marker.exact ? mark_block_end(e->span, (uint32_t)(e->state - e->span->state)) : e->block + align_up(e->size, 8);
		if (UNLIKELY(e->size > PIECE)) {
			push_wide(e->block, end);
			continue;
		}
		if (UNLIKELY(top > marker.full)) {
			marker.top = top;
			bool room = edges_room();
			top = marker.top;
			if (!room)
				continue;
		}
		top = scan_piece(e->block, e->size, e->block, end, top, careful);
	}
}

static __attribute__((noinline)) READS_ANYTHING void drain_plain(void) { drain_loop(false); }
static __attribute__((noinline)) READS_ANYTHING void drain_careful(void) { drain_loop(true); }

static void drain(void)
{
	if (UNLIKELY(marker.odd))
		drain_careful();
	else
		drain_plain();
}

/* One pass over every marked block, with the stack empty before each piece: what was dropped is found again. Blocks on
 * alloc lists are scanned too here: stale words in them may retain, which is precision, not soundness. */
static READS_ANYTHING void scan_all_marked(bool (*want)(const struct span *s, uint32_t slot))
{
	uint32_t spans = span_count();
	for (uint32_t i = 0; i < spans; i++) {
		struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL && s->kind != SPAN_LARGE)
			continue;
		for (uint32_t slot = 0; slot < s->slots; slot++) {
			if (!state_is_marked(s->state[slot]) || (want && !want(s, slot)))
				continue;
			uintptr_t block = span_address(s, slot), low = block, end = marker.exact ? mark_block_end(s, slot) : low + align_up(s->block, 8);
			for (uintptr_t to; (low = absent_skip(s, low, end, &to)) < end; low = to) {
				to = to - low > PIECE ? low + PIECE : to;
				marker.top = scan_piece(block, s->block, low, to, marker.top, marker.odd);
				if (to < end)
					scan_seam(s, to, end);
				drain();
			}
		}
	}
}

void mark_drain(void)
{
	drain();
	while (UNLIKELY(marker.overflow)) {
		marker.overflow = false;
		marker.overflows++;
		scan_all_marked(NULL);
	}
}

void mark_follow_offsets(bool (*want)(const struct span *s, uint32_t slot))
{
	marker.no_offsets = fault(FAULT_no_offsets);
	if (!marker.no_offsets)
		scan_all_marked(want);
}

/* -- roots -- */

/* A word on a stack or in a register that lies exactly behind an `exact` block may be that block's one-past-the-end pointer:
 * its left neighbour lives too. Covers the same span, the span before and the window's very end alike. */
static void mark_left(uintptr_t w)
{
	uintptr_t last = w - 1;
	if (last - marker.base >= marker.limit || w % SLOT_STEP || marker.no_past_end)
		return;
	struct span *s = &arena.spans[load_relaxed(&arena.page_map[(last - marker.base) >> PAGE_SHIFT])];
	uint32_t slot = span_slot(s, last);
	if (s->exact && slot < s->slots && span_address(s, slot) + s->block == w)
		*marker.top++ = marker.no_interior || marker.setting_aside ? span_address(s, slot) : last;
}

/* What was pushed since `from` stood on a stack or in a register: inner pointers are as good as others there. */
static void take_whole(size_t from)
{
	for (uintptr_t *edge = marker.edges + from; edge < marker.top; edge++)
		*edge = aside_start(*edge);
}

void mark_word(uintptr_t w)
{
	if (!edges_room())
		drain(); /* leaves the stack empty; what it drops is found by the passes of mark_drain */
	size_t from = (size_t)(marker.top - marker.edges);
	if (w - marker.base < marker.limit)
		*marker.top++ = w;
	marker.top = extra_integers(&w, &w + 1, marker.top);
	if (marker.extra || marker.mangled)
		marker.top = extra_mangled(&w, &w + 1, extra_scan(&w, &w + 1, marker.top));
	mark_left(w);
	if (UNLIKELY(marker.setting_aside))
		take_whole(from);
}

/* Pushes one piece's words, and what lies left of its boundary words. The stack is small enough to take both. */
static READS_ANYTHING void push_piece(const word_t *p, const word_t *end, bool on_stack)
{
	size_t from = (size_t)(marker.top - marker.edges);
	marker.top = scan_words(p, end, marker.top);
	if (marker.extra)
		marker.top = extra_scan(p, end, marker.top);
	if (!on_stack)
		return;
	if (UNLIKELY(marker.setting_aside))
		take_whole(from);
	for (; p < end; p++)
		if (UNLIKELY(*p % SLOT_STEP == 0) && *p - 1 - marker.base < marker.limit && edges_room()) /* which may move edges */
			mark_left(*p);
}

static void drain_if_deep(void)
{
	if (marker.top > marker.edges + PIECE_WORDS || marker.top > marker.full) /* following now keeps its lines warm */
		drain();
}

/*
 * Words that lie across the seam of two ranges: mappings side by side, runs of pages that are read in different ways. Whoever reads them knows
 * no seam, so a word that begins in the last bytes of one range ends in the first of the next, if that begins where the other ends.
 *
 *   range before ...|0 1 2 3 4 5 6 7|0 1 2 3 4 5 6 7|... range behind      code: at 1 to 7, else at 4
 */
static struct {
	uintptr_t at;      /* the end of the last range; 0: none */
	uint8_t bytes[16]; /* on both sides */
	bool code;
} seam;

static READS_ANYTHING void seam_behind(uintptr_t high, const void *last, bool code)
{
	seam.at = high;
	seam.code = code;
	__builtin_memcpy(seam.bytes, last, 8);
}

/* Before the range is scanned. */
static READS_ANYTHING void seam_before(uintptr_t low, const void *first, bool code)
{
	code |= seam.code;
	if (low != seam.at || !(code || marker.odd_words) || marker.no_seams)
		return;
	__builtin_memcpy(seam.bytes + 8, first, 8);
	const unsigned step = code ? 1 : marker.odd_step;
	for (unsigned i = step; i < 8; i += step)
		marker.top = extra_seam(seam.bytes + i, marker.top);
}

void mark_range(uintptr_t low, uintptr_t high, bool on_stack)
{
	high = align_down(high, 8);
	low = align_up(low, 8);
	if (low >= high)
		return;
	drain_if_deep();
	seam_before(low, (const void *)low, false);
	seam_behind(high, (const void *)(high - 8), false);
	while (low < high) {
		uintptr_t end = high - low > PIECE ? low + PIECE : high;
		drain_if_deep();
		push_piece((const word_t *)low, (const word_t *)end, on_stack);
		for (uintptr_t from = end - 8 + marker.odd_step; from < end && end < high; from += marker.odd_step)
			marker.top = extra_seam((const void *)from, marker.top);
		low = end;
	}
}

void mark_code(uintptr_t low, uintptr_t high)
{
	if (low + 8 > high)
		return;
	drain_if_deep();
	seam_before(low, (const void *)low, true);
	seam_behind(high, (const void *)(high - 8), true);
	for (; low + 8 <= high; low += PIECE)
		for (uintptr_t at = low; at < low + 8 && at + 8 <= high; at++) { /* eight passes over a piece that stays in the cache */
			drain_if_deep();
			uintptr_t end = align_down(high - at, 8) > PIECE ? at + PIECE : at + align_down(high - at, 8);
			push_piece((const word_t *)at, (const word_t *)end, false);
		}
}

bool mark_range_copied(uintptr_t low, uintptr_t high, enum mark_as as, enum copy_rule rule)
{
	const bool code = as == MARK_CODE;
	high = align_down(high, 8);
	for (low = align_up(low, 8); low < high;) {
		const uintptr_t end = high - low > PIECE ? low + PIECE : high;
		for (unsigned at = 0; at < (code ? 8 : 1) && low + at + 8 <= end; at++) {
			drain_if_deep(); /* before the copy: following may use the same buffer */
			const uint8_t *copy = (const uint8_t *)doubtful_read(low, end, rule);
			if (!copy)
				return false;
			if (at == 0) {
				seam_before(low, copy, code);
				seam_behind(end, copy + (end - low) - 8, code);
			}
			push_piece((const word_t *)(copy + at), (const word_t *)(copy + at + align_down(end - low - at, 8)), as == MARK_STACK);
		}
		low = end;
	}
	return true;
}

static bool cached_slot(struct span *s, uint32_t slot)
{
	uint8_t b = s->state[slot];
	if (!state_is_allocated(b) && b != STATE_ALTERED) /* refill stamped it allocated; anything else was written by a wild store */
		return false;
	s->state[slot] = b | STATE_MARKED;
	return true;
}

bool mark_cached(void) { return fault(FAULT_no_alloc_lists) || heap_each_cached(cached_slot); }

/* -- begin and end -- */

bool mark_begin(void)
{
	marker.base = arena.base;
	marker.limit = load_acquire(&arena.limit);
	extra_begin();
	aside_begin();
	size_t bytes = align_up(mark_stack_bytes ? mark_stack_bytes : EDGE_BYTES, OS_PAGE);
	size_t least = 2 * 8 * edges_of_piece();
	if (bytes < least)
		bytes = least;
	if (marker.edges && marker.edge_bytes != bytes) {
		os_unmap(marker.edges, marker.edge_bytes);
		marker.edges = NULL;
	}
	if (!marker.edges && !(marker.edges = os_map(bytes)))
		return false;
	marker.edge_bytes = bytes;
	if (!marker.wide) {
		if (!(marker.wide = os_map(WIDE_BYTES)))
			return false;
		marker.wide_room = WIDE_BYTES / sizeof *marker.wide;
	}
	edges_limit(bytes == EDGE_BYTES ? EDGE_BYTES / 4 : bytes, 0);
	marker.wide_top = 0;
	marker.overflow = marker.unreadable = false;
	marker.no_interior = fault(FAULT_no_interior);
	marker.no_offsets = fault(FAULT_no_offsets);
	marker.no_past_end = fault(FAULT_no_past_end);
	marker.lose_edges = fault(FAULT_lose_edges);
	marker.no_return = fault(FAULT_law7_no_return);
	marker.no_seams = fault(FAULT_no_seams);
	marker.odd = marker.no_interior || marker.lose_edges || marker.no_return;
	marker.avx2 = vectors();
	marker.lost = marker.blocks = marker.bytes = marker.overflows = 0;
	marker.rights = keys_open();
	seam.at = 0;
	doubtful_begin();
	absent_begin();
	return true;
}

bool mark_complete(void) { return !marker.unreadable && !marker.overflow; }

/* A stack that grew goes back to its first size: a deep graph once is no reason to keep its memory. */
void mark_end(void)
{
	keys_restore(marker.rights);
	doubtful_end();
	absent_end();
	aside_end();
	if (marker.edges && marker.edge_bytes > EDGE_BYTES) {
		os_unmap(marker.edges, marker.edge_bytes);
		marker.edges = NULL;
	}
	if (marker.wide && marker.wide_room > WIDE_BYTES / sizeof *marker.wide) {
		os_unmap(marker.wide, marker.wide_room * sizeof *marker.wide);
		marker.wide = NULL;
	}
}

void mark_totals(struct mark_totals *t) { *t = (struct mark_totals){ marker.blocks, marker.bytes, marker.overflows }; }

void mark_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	if (marker.edges)
		fn((uintptr_t)marker.edges, (uintptr_t)marker.edges + marker.edge_bytes);
	if (marker.wide)
		fn((uintptr_t)marker.wide, (uintptr_t)marker.wide + marker.wide_room * sizeof *marker.wide);
	fn((uintptr_t)&marker, (uintptr_t)(&marker + 1));
	aside_own_ranges(fn);
	apart_own_ranges(fn);
	fn((uintptr_t)doubtful_bounce, (uintptr_t)doubtful_bounce + sizeof doubtful_bounce);
}
