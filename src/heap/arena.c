/*
 * Windows, page map, runs of pages.
 *
 * Windows of address space grow upward from random bases, each step by a MAP_FIXED_NOREPLACE that touches the last, so that the
 * kernel keeps one mapping for each, between guard pages (window.c):
 *
 *   meta       state bytes, caches: the first 256 KiB   in 2 MiB of a random gigabyte of the arena's half terabyte
 *   page map   one u32 a page, up to 256 MiB            in the same 2 MiB
 *   spans      descriptors, up to 24 GiB                begin in the same gigabyte
 *   more meta  when the first is full, up to 24 GiB     behind them
 *   arena      64 KiB pages that hold blocks            0x2800_0000_0000 .. 0x2fff_0000_0000
 *
 * Each gigabyte and each 2 MiB in use is a page table of its own that every fork copies and every exec builds, and that the
 * first touch of a new process walks: hence the neighbourhood (places_draw).
 *
 * A step of the arena that is taken by somebody else is a hole: its page map entries say SPAN_HOLE, and growth goes on behind
 * it. The other windows are flat arrays and cannot have holes; when one is blocked, growth ends there (NULL: out of memory).
 *
 * Free pages form runs. A run's descriptor stands in the page map at its first and last page (boundary tags), so a freed span
 * finds its neighbours; runs merge with neighbours that are as clean or as dirty as they are. Bins: exact sizes to 32 pages,
 * then four per doubling, one set for dirty runs (reused first: their pages are resident) and one for clean ones.
 *
 * Dirty runs go back to the system about a second after they were freed, at the next slow path that comes by.
 *
 * What must hold, under arena_lock: entries of pages inside a free run are SPAN_SENTINEL or SPAN_VOID, except the first and
 * last; the page map covers [0, limit); limit is released after the entries exist.
 */
#include "heap/arena.h"
#include "heap/harden.h"
#include "heap/veil.h"
#include "heap/window.h"
#include "base/config.h"
#include "base/fault.h"
#include "base/stats.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define GIB ((size_t)1 << 30)

enum {
	ARENA_STEP = 64 << 20,
	META_FIRST = 256 << 10,
	EXACT_BINS = 32,
	BINS = 128,
	MAX_HOLES = 64,
};
#define PURGE_AFTER_NS 1000000000ull


struct arena arena;
struct lock arena_lock = LOCK_INIT(RANK_ARENA);
struct lock meta_lock = LOCK_INIT(RANK_META);

static struct window blocks, map, descriptors;
static struct window meta[2];     /* the first META_FIRST bytes, and what comes when they are full */
static size_t meta_used[2];       /* under meta_lock */
static uint32_t span_next;        /* atomic for readers; under arena_lock for writers */
static uint32_t span_spare;       /* list of unused descriptors, by index */
static uint32_t bin_head[2][BINS];/* [dirty] */
static uint64_t bin_bits[2][BINS / 64];
static size_t pages_used, pages_dirty, pages_limit; /* pages_used: atomic for a peek */
static uintptr_t holes[MAX_HOLES];/* starts, ascending, each ARENA_STEP long; for the roots: they are not ours */
static unsigned hole_count;
static uint64_t purge_at;         /* coarse time of the next purge; 0: nothing dirty */

void *meta_take(size_t size, size_t align)
{
	lock_take(&meta_lock);
	void *p = NULL;
	for (unsigned i = 0; i < NELEM(meta) && !p; i++) {
		size_t at = align_up(meta_used[i], align);
		if (window_cover(&meta[i], at + size, META_FIRST)) {
			meta_used[i] = at + size;
			p = (void *)(meta[i].base + at);
		}
	}
	lock_drop(&meta_lock);
	return p;
}

/* ---- descriptors ---- */

static struct span *descriptor_take(void)
{
	struct span *s;
	if (span_spare) {
		s = &arena.spans[span_spare];
		span_spare = s->next;
	} else {
		if (!window_cover(&descriptors, (span_next + 1) * sizeof *s, 64 << 10))
			return NULL;
		s = &arena.spans[span_next];
		s->index = span_next;
		store_release(&span_next, span_next + 1);
	}
	return s;
}

static void descriptor_drop(struct span *s)
{
	store_relaxed(&s->kind, SPAN_NONE);
	s->slots = 0;
	s->next = span_spare;
	span_spare = s->index;
}

uint32_t span_count(void) { return load_acquire(&span_next); }

/* ---- page map ---- */

static size_t page_of(uintptr_t addr) { return (addr - arena.base) >> PAGE_SHIFT; }
static void page_set(size_t page, uint32_t index) { store_release(&arena.page_map[page], index); }
static struct span *page_get(size_t page) { return &arena.spans[load_relaxed(&arena.page_map[page])]; }
/* A neighbour may be a span that its taker is still setting up, outside the lock: it is never a free run then. */
static bool is_free_run(const struct span *s, bool dirty) { return load_relaxed(&s->kind) == SPAN_FREE_RUN && s->dirty == dirty; }

void arena_publish(struct span *s)
{
	size_t first = page_of(s->start);
	for (size_t i = 0; i < s->pages; i++)
		page_set(first + i, s->index);
}

/* ---- bins of free runs ---- */

static unsigned bin_of(size_t pages)
{
	if (pages <= EXACT_BINS)
		return (unsigned)pages - 1;
	unsigned octave = log2_floor(pages);
	unsigned bin = EXACT_BINS + (octave - 5) * 4 + ((unsigned)(pages >> (octave - 2)) & 3);
	return bin < BINS ? bin : BINS - 1;
}

static void run_insert(struct span *s)
{
	unsigned bin = bin_of(s->pages);
	uint32_t *head = &bin_head[s->dirty][bin];
	s->prev = 0;
	s->next = *head;
	if (*head)
		arena.spans[*head].prev = s->index;
	*head = s->index;
	bin_bits[s->dirty][bin / 64] |= 1ull << bin % 64;
	if (s->dirty)
		pages_dirty += s->pages;
	size_t first = page_of(s->start);
	page_set(first, s->index);
	page_set(first + s->pages - 1, s->index);
}

static void run_remove(struct span *s)
{
	unsigned bin = bin_of(s->pages);
	if (s->prev)
		arena.spans[s->prev].next = s->next;
	else
		bin_head[s->dirty][bin] = s->next;
	if (s->next)
		arena.spans[s->next].prev = s->prev;
	if (!bin_head[s->dirty][bin])
		bin_bits[s->dirty][bin / 64] &= ~(1ull << bin % 64);
	if (s->dirty)
		pages_dirty -= s->pages;
	s->next = s->prev = 0;
}

/* A run of at least `pages`, taken out of its bin. Inside a bin runs differ in size by up to a quarter: the first that fits. */
static struct span *run_find(size_t pages, bool dirty)
{
	for (unsigned bin = bin_of(pages); bin < BINS; bin++) {
		uint64_t bits = bin_bits[dirty][bin / 64] >> bin % 64;
		if (!bits) {
			bin |= 63;
			continue;
		}
		bin += (unsigned)__builtin_ctzll(bits);
		for (uint32_t i = bin_head[dirty][bin]; i; i = arena.spans[i].next)
			if (arena.spans[i].pages >= pages) {
				run_remove(&arena.spans[i]);
				return &arena.spans[i];
			}
	}
	return NULL;
}

/* Frees pages [start, start + pages) into the bins, merged with free neighbours of the same kind. `s` is a descriptor for it. */
static void run_free(struct span *s)
{
	store_relaxed(&s->kind, SPAN_FREE_RUN);
	s->slots = 0;
	size_t first = page_of(s->start), limit = arena.limit >> PAGE_SHIFT;
	struct span *left = first ? page_get(first - 1) : NULL;
	if (left && is_free_run(left, s->dirty)) {
		run_remove(left);
		s->start = left->start;
		s->pages += left->pages;
		s->was_recycled |= left->was_recycled;
		page_set(first - 1, left->was_recycled ? SPAN_VOID : SPAN_SENTINEL);
		page_set(first, s->was_recycled ? SPAN_VOID : SPAN_SENTINEL);
		descriptor_drop(left);
	}
	size_t behind = page_of(s->start) + s->pages;
	struct span *right = behind < limit ? page_get(behind) : NULL;
	if (right && is_free_run(right, s->dirty)) {
		run_remove(right);
		s->pages += right->pages;
		s->was_recycled |= right->was_recycled;
		page_set(behind, right->was_recycled ? SPAN_VOID : SPAN_SENTINEL);
		page_set(behind - 1, s->was_recycled ? SPAN_VOID : SPAN_SENTINEL);
		descriptor_drop(right);
	}
	run_insert(s);
}

/* Cuts `s` (not in a bin) down to its first `pages`; the rest becomes a free run. false: no descriptor, s is unchanged. */
static bool run_split(struct span *s, size_t pages)
{
	if (s->pages == pages)
		return true;
	struct span *rest = descriptor_take();
	if (!rest)
		return false;
	rest->start = s->start + pages * PAGE;
	rest->pages = s->pages - (uint32_t)pages;
	rest->dirty = s->dirty;
	rest->was_recycled = s->was_recycled;
	rest->freed_at = s->freed_at;
	s->pages = (uint32_t)pages;
	/* The boundary tag of the old run must not lead anywhere while neighbours are looked at. */
	page_set(page_of(s->start) + pages - 1, SPAN_SENTINEL);
	run_free(rest);
	return true;
}

/* ---- growth ---- */

/* Page map entries for [limit, limit + size), then the limit (law 5: entries first). */
static void arena_extend_limit(size_t size, uint32_t entry)
{
	size_t first = arena.limit >> PAGE_SHIFT;
	if (entry != SPAN_SENTINEL) /* fresh entries are zero already: untouched pages of the map cost nothing */
		for (size_t i = 0; i < size >> PAGE_SHIFT; i++)
			page_set(first + i, entry);
	store_release(&arena.limit, arena.limit + size);
}

/* Maps a step of at least `least` bytes, behind what others have mapped there: *skipped bytes of holes, which blocks.mapped counts already,
 * and nobody else knows of yet. false: no memory, or no room for holes. */
static bool arena_step(size_t least, size_t *step, size_t *skipped)
{
	*step = align_up(least, ARENA_STEP);
	*skipped = 0;
	for (;;) {
		if (!window_cover(&map, (blocks.mapped + *step + ARENA_STEP) >> PAGE_SHIFT << 2, 16 << 10))
			return false;
		int r = window_extend(&blocks, *step);
		if (r == 0)
			return true;
		if (r == -EEXIST) {
			if (hole_count + *skipped / ARENA_STEP >= MAX_HOLES)
				return false;
			*skipped += ARENA_STEP;
			blocks.mapped += ARENA_STEP;
			blocks.guarded = false; /* the last guard stays where it is, before the hole */
		} else if (*step == least) {
			return false;
		} else {
			*step = *step / 2 > least ? align_up(*step / 2, PAGE) : least; /* RLIMIT_AS, overcommit: ask for less */
		}
	}
}

/* Adds a clean run of at least `pages` to the bins. */
static bool arena_grow(size_t pages)
{
	size_t step, skipped;
	const bool guarded = blocks.guarded;
	if (!arena_step(pages << PAGE_SHIFT, &step, &skipped)) {
		/* Nothing is a hole for good until something lies behind it: it may be given back by then. */
		blocks.mapped -= skipped;
		blocks.guarded = guarded;
		return false;
	}
	const size_t start = blocks.mapped;
	for (; skipped; skipped -= ARENA_STEP) {
		holes[hole_count++] = arena.base + start - skipped;
		arena_extend_limit(ARENA_STEP, SPAN_HOLE);
	}
	struct span *s = descriptor_take();
	if (!s)
		return false; /* the step stays mapped and unused: only reached without memory for 128 bytes */
	memset((char *)s + offsetof(struct span, start), 0, offsetof(struct span, index));
	s->start = arena.base + start;
	s->pages = (uint32_t)(step >> PAGE_SHIFT);
	blocks.mapped += step;
	arena_extend_limit(step, SPAN_SENTINEL);
	run_free(s);
	return true;
}

/* ---- take, give, resize ---- */

/* Makes the part of `s` that starts at an aligned page its own run. false: no descriptor; everything is free again. */
static bool run_align(struct span **run, size_t align_pages)
{
	struct span *s = *run;
	size_t skip = (align_up(s->start, align_pages * PAGE) - s->start) >> PAGE_SHIFT;
	if (!skip)
		return true;
	struct span *tail = descriptor_take();
	if (!tail)
		return false;
	tail->start = s->start + skip * PAGE;
	tail->pages = s->pages - (uint32_t)skip;
	tail->dirty = s->dirty;
	tail->was_recycled = s->was_recycled;
	tail->freed_at = s->freed_at;
	tail->kind = SPAN_NONE;
	page_set(page_of(tail->start), SPAN_SENTINEL);
	page_set(page_of(tail->start) + tail->pages - 1, SPAN_SENTINEL);
	s->pages = (uint32_t)skip;
	run_free(s);
	*run = tail;
	return true;
}

static size_t purge_runs(uint64_t now, bool all);

struct span *arena_take(size_t pages, size_t align_pages)
{
	size_t want = pages + align_pages - 1;
	lock_take(&arena_lock);
	struct span *s = NULL;
	if (want > (blocks.max >> PAGE_SHIFT) || (pages_limit && pages_used + pages > pages_limit))
		goto out;
	if (purge_at)
		purge_runs(os_coarse_ns(), false);
	s = run_find(want, true);
	if (!s)
		s = run_find(want, false);
	if (!s && pages_dirty >= pages && want > 1 && purge_runs(os_coarse_ns(), true)) /* clean neighbours merge: perhaps a run is long enough now */
		s = run_find(want, false);
	if (!s && arena_grow(want))
		s = run_find(want, false);
	if (!s)
		goto out;
	if ((align_pages > 1 && !run_align(&s, align_pages)) || !run_split(s, pages)) {
		run_free(s);
		s = NULL;
		goto out;
	}
	store_relaxed(&pages_used, pages_used + pages);
	bool zero = !s->dirty;
	uintptr_t start = s->start;
	memset((char *)s + offsetof(struct span, start), 0, offsetof(struct span, index));
	s->box = NULL;
	s->start = start;
	s->pages = (uint32_t)pages;
	s->zero = zero;
out:
	lock_drop(&arena_lock);
	if (UNLIKELY(harden_on()) && s && s->zero)
		harden_pages_taken(s->start, s->pages * (size_t)PAGE);
	return s;
}

/* Page map entries of a span that goes away. */
static void unpublish(const struct span *s, bool recycled)
{
	size_t first = page_of(s->start);
	for (size_t i = 0; i < s->pages; i++)
		page_set(first + i, recycled ? SPAN_VOID : SPAN_SENTINEL);
}

static void note_dirty(struct span *s)
{
	s->freed_at = (uint32_t)(os_coarse_ns() / 1000000);
	if (!purge_at)
		purge_at = os_coarse_ns() + PURGE_AFTER_NS;
}

void arena_give(struct span *s, bool recycled, bool zero)
{
	if (UNLIKELY(harden_on()) && !zero)
		zero = harden_pages_given(s->start, s->pages * (size_t)PAGE);
	lock_take(&arena_lock);
	unpublish(s, recycled);
	store_relaxed(&pages_used, pages_used - s->pages);
	s->dirty = !zero;
	s->was_recycled = recycled;
	if (s->dirty)
		note_dirty(s);
	run_free(s);
	if (purge_at)
		purge_runs(os_coarse_ns(), false);
	lock_drop(&arena_lock);
}

bool arena_resize(struct span *s, size_t pages)
{
	bool done = false, grown_zero = false;
	const uintptr_t end = s->start + s->pages * (size_t)PAGE;
	lock_take(&arena_lock);
	size_t first = page_of(s->start);
	if (pages < s->pages) {
		struct span *rest = descriptor_take();
		if (rest) {
			rest->start = s->start + pages * PAGE;
			rest->pages = s->pages - (uint32_t)pages;
			rest->dirty = !harden_on() || !harden_pages_given(rest->start, rest->pages * (size_t)PAGE);
			rest->was_recycled = false;
			store_relaxed(&pages_used, pages_used - rest->pages);
			if (rest->dirty)
				note_dirty(rest);
			unpublish(rest, false);
			s->pages = (uint32_t)pages;
			run_free(rest);
			done = true;
		}
	} else if (first + s->pages < arena.limit >> PAGE_SHIFT) {
		struct span *right = page_get(first + s->pages);
		size_t more = pages - s->pages;
		if (load_relaxed(&right->kind) == SPAN_FREE_RUN && right->pages >= more && !(pages_limit && pages_used + more > pages_limit)) {
			run_remove(right);
			if (run_split(right, more)) {
				s->pages = (uint32_t)pages;
				store_relaxed(&pages_used, pages_used + more);
				grown_zero = !right->dirty;
				arena_publish(s);
				descriptor_drop(right);
				done = true;
			} else {
				run_free(right);
			}
		}
	}
	lock_drop(&arena_lock);
	if (UNLIKELY(harden_on()) && grown_zero)
		harden_pages_taken(end, s->start + pages * PAGE - end);
	return done;
}

/* ---- purge ---- */

/* Dirty runs older than a second (or all) become clean. Under arena_lock. Result: bytes. */
static size_t purge_runs(uint64_t now, bool all)
{
	if (!all && now < purge_at)
		return 0;
	size_t bytes = 0;
	uint64_t next = 0;
	for (unsigned bin = 0; bin < BINS; bin++) {
		if (!(bin_bits[1][bin / 64] >> bin % 64 & 1))
			continue;
		for (uint32_t i = bin_head[1][bin], following; i; i = following) {
			struct span *s = &arena.spans[i];
			following = s->next;
			uint32_t age_ms = (uint32_t)(now / 1000000) - s->freed_at;
			if (!all && age_ms < PURGE_AFTER_NS / 1000000) {
				uint64_t at = now + PURGE_AFTER_NS - age_ms * 1000000ull;
				next = next && next < at ? next : at;
				continue;
			}
			/* A veiled page in it holds what its file holds, not zeros. */
			if (!(veil_started() ? os_map_over : os_purge)(s->start, s->pages * (size_t)PAGE)) {
				s->freed_at = (uint32_t)(now / 1000000); /* mlocked or refused: later */
				next = next && next < now + PURGE_AFTER_NS ? next : now + PURGE_AFTER_NS;
				continue;
			}
			bytes += s->pages * (size_t)PAGE;
			run_remove(s);
			s->dirty = false;
			run_free(s); /* may merge with clean neighbours, never with a run of this list: those are dirty */
		}
	}
	purge_at = pages_dirty ? next : 0;
	stats_add(&stats.purged_bytes, bytes);
	return bytes;
}

size_t arena_purge(bool all)
{
	lock_take(&arena_lock);
	size_t bytes = purge_at || all ? purge_runs(os_coarse_ns(), all) : 0;
	lock_drop(&arena_lock);
	return bytes;
}

/* ---- the rest ---- */

size_t arena_pages_used(void) { return load_relaxed(&pages_used); }
void arena_set_limit(size_t bytes) { pages_limit = bytes >> PAGE_SHIFT; }

void arena_totals(struct heap_totals *t)
{
	t->mapped = blocks.mapped;
	t->dirty = pages_dirty << PAGE_SHIFT;
	t->metadata = map.mapped + descriptors.mapped + meta[0].mapped + meta[1].mapped;
}

void arena_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	uintptr_t low = arena.base;
	for (unsigned i = 0; i < hole_count; i++) {
		if (holes[i] > low)
			fn(low, holes[i]);
		low = holes[i] + ARENA_STEP;
	}
	if (arena.base + arena.limit > low)
		fn(low, arena.base + arena.limit);
	fn(map.base, map.base + map.mapped);
	fn(descriptors.base, descriptors.base + descriptors.mapped);
	for (unsigned i = 0; i < NELEM(meta); i++)
		if (meta[i].mapped)
			fn(meta[i].base, meta[i].base + meta[i].mapped);
}

void arena_fork_child(void)
{
	if (load_relaxed(&meta_lock.word))
		meta[0].torn = meta[1].torn = true;
	lock_reset(&meta_lock);
	bool torn = load_relaxed(&arena_lock.word);
	lock_reset(&arena_lock);
	if (!torn)
		return;
	map.torn = descriptors.torn = true;
	if (blocks.mapped != arena.limit) { /* in the middle of a step: what it mapped is a hole to the next one */
		blocks.mapped = arena.limit;
		blocks.guarded = false;
	}
	/* The fork cut a thread off in the middle of these lists: what was free stays unused, and growth goes on behind it. */
	memset(bin_head, 0, sizeof bin_head);
	memset(bin_bits, 0, sizeof bin_bits);
	span_spare = 0;
	pages_dirty = 0;
	purge_at = 0;
	for (uint32_t i = SPAN_FIRST; i < span_next; i++)
		if (arena.spans[i].kind == SPAN_FREE_RUN)
			arena.spans[i].kind = SPAN_NONE;
}

struct places {
	uintptr_t blocks, map, descriptors, meta[2];
};

/*
 * Where the windows begin, from random numbers. The arena: one of 15 half terabytes, above its first 64 GiB, with 512 GiB above it at the least;
 * in the lower half of 2 MiB, so that a small heap needs one page table for its blocks; and not near a multiple of 4 GiB, so that the lower halves of
 * addresses in the first gigabyte are neither small numbers nor small negative ones, which any data have beside others (25.2 bits). The rest in one of the gigabytes below
 * it (7.6 bits on average): the first metadata and the page map in 2 MiB (6.6 bits for these, 7.6 and 7.6 for the two inside), the descriptors in
 * the upper half (16.6 bits). If somebody else is there: far below the arena, each attempt elsewhere.
 */
static void places_draw(struct places *p, const uint64_t r[6], unsigned attempt)
{
	enum { BLOCKS_ABOVE = 64, SIDE_NEEDS = 56, LOOSE = 200 }; /* GiB, GiB, pages */
	const size_t big = 2 << 20, low = GIB / 4, high = 3 * GIB; /* of 4 GiB */
	const uintptr_t slot = 0x280000000000 + r[0] % 15 * (512 * GIB);
	const size_t above = BLOCKS_ABOVE * GIB + r[0] / 15 % ((512 - BLOCKS_ABOVE) / 4) * 4 * GIB + low + (r[0] >> 32) % ((high - low) / big) * big;
	p->blocks = slot + above + (1 + (r[5] >> 40) % 16) * PAGE;
	uintptr_t side = slot + r[1] % (above / GIB - SIDE_NEEDS) * GIB;
	if (attempt)
		side = 0x200000000000 + (1 + (r[1] + attempt * 64) % 7424) * GIB;
	p->meta[0] = side + r[3] % 100 * big + (1 + (r[3] >> 32) % LOOSE) * OS_PAGE;
	p->map = p->meta[0] + META_FIRST + (2 + (r[4] >> 32) % LOOSE) * OS_PAGE; /* a guard of either */
	p->descriptors = side + GIB / 2 + r[4] % (400 * 1024 / 4) * OS_PAGE;
	p->meta[1] = side + 28 * GIB + r[5] % (GIB / OS_PAGE) * OS_PAGE;
}

static void keys_draw(uint64_t random)
{
	const uint64_t odd = random | 1;
	uint64_t inverse = odd; /* right in its lowest three bits; each step doubles them */
	for (unsigned bits = 3; bits < 64; bits *= 2)
		inverse *= 2 - odd * inverse;
	arena.factor = odd;
	arena.inverse = inverse;
}

bool arena_start(void)
{
	uint64_t r[6];
	struct places p;
	os_random(r, sizeof r);
	places_draw(&p, r, 0);
	arena.key = r[2];
	keys_draw(r[2] ^ r[4] << 32 ^ r[3] << 7);
	arena.stamp = 1;
	const size_t most = CONFIG_RESERVE ? 16 * GIB : 0x2fff00000000 - p.blocks < 4096 * GIB ? 0x2fff00000000 - p.blocks : 4096 * GIB;
	const size_t room = CONFIG_RESERVE ? GIB : 24 * GIB;
	for (unsigned attempt = 0; attempt < 8; places_draw(&p, r, ++attempt)) {
		if (!window_place(&blocks, p.blocks, most) || !window_place(&map, p.map, (most >> PAGE_SHIFT) * 4)
		    || !window_place(&descriptors, p.descriptors, room) || !window_place(&meta[0], p.meta[0], META_FIRST)
		    || !window_place(&meta[1], p.meta[1], room))
			return false;
		if (window_cover(&map, OS_PAGE, 16 << 10) && window_cover(&descriptors, SPAN_FIRST * sizeof(struct span), 64 << 10)
		    && window_cover(&meta[0], OS_PAGE, META_FIRST)) {
			arena.base = blocks.base;
			arena.page_map = (uint32_t *)map.base;
			arena.spans = (struct span *)descriptors.base;
			for (uint32_t i = 0; i < SPAN_FIRST; i++)
				arena.spans[i].index = i;
			const uintptr_t ends[] = { meta[0].base + META_FIRST, meta[1].base + room }; /* reserved windows may lie either way */
			arena.bytes_low = meta[0].base < meta[1].base ? meta[0].base : meta[1].base;
			arena.bytes_size = (ends[0] > ends[1] ? ends[0] : ends[1]) - arena.bytes_low;
			store_release(&span_next, SPAN_FIRST);
			return true;
		}
	}
	return false;
}
