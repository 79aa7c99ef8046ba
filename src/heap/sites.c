/*
 * Sites by slot, and what is kept by site.
 *
 *   span.sites ──▶ lines of 64 bytes, made when the first block of a span is recorded, kept with its state bytes
 *                    u32 site[12], u8 spare[12]      of twelve slots, where every spare fits into a byte (blocks below 256)
 *                    u32 site[10], u16 spare[10]     else of ten
 *   large span ──▶ span.site, span.spare             in the descriptor
 *
 * spare: bytes of the slot that were not asked for, plus one; 0: not known. Both in one line: recording a block writes to one line and one page.
 *
 * What is counted by site lies in tables of CHUNK sites, mapped when a site of theirs is first counted: few nodes of the depot are
 * the stack of a block, and fewer of one that was recycled.
 */
#include "heap/sites.h"
#include "backtrace/backtrace.h"
#include "backtrace/depot.h"
#include "heap/arena.h"
#include "heap/ignored.h"
#include "heap/recorded.h"
#include "heap/self.h"
#include "base/fault.h"
#include "os/os.h"

#include <string.h>

enum { CHUNK_BITS = 14, CHUNK = 1 << CHUNK_BITS, CHUNKS = 4096 };
#define CHUNK_BYTES align_up(CHUNK * sizeof(struct site), OS_PAGE)

static LARGE struct site *chunks[CHUNKS]; /* atomic */
static uint32_t chunks_end;         /* atomic: no chunk from here on was ever asked for */
static uint32_t immortals;          /* atomic */
bool sites_recording;
static bool stacks;                 /* before sites_recording */

uint32_t sites_count(void) { return depot_count(); }
uintptr_t sites_address(uint32_t site) { return site && site <= depot_count() ? depot_pc(site) : 0; }

bool sites_start(size_t sample)
{
	heap_start();
	stacks = backtrace_start();
	if (!stacks && !depot_start())
		return false;
	recorded_start(sample);
	store_release(&sites_recording, true);
	recorded_begin();
	return true;
}

/* -- by slot -- */

static inline bool is_narrow(const struct span *s) { return s->block <= UINT8_MAX; }

static inline uint32_t spare_of(const struct span *s, size_t size, size_t most)
{
	return s->block - size < most ? (uint32_t)(s->block - size) + 1 : 0;
}

/* Where a slot's entries are. */
struct entries {
	uint32_t *site;
	uint8_t *narrow;
	uint16_t *wide;  /* one of both */
};

enum { LINE_WORDS = CACHE_LINE / sizeof(uint32_t), NARROW = 12, WIDE = 10 };

static inline __attribute__((always_inline)) struct entries entries(const struct span *s, uint32_t *table, uint32_t slot)
{
	if (is_narrow(s)) {
		uint32_t *line = table + slot / NARROW * LINE_WORDS, at = slot % NARROW;
		return (struct entries){ line + at, (uint8_t *)(line + NARROW) + at, NULL };
	}
	uint32_t *line = table + slot / WIDE * LINE_WORDS, at = slot % WIDE;
	return (struct entries){ line + at, NULL, (uint16_t *)(line + WIDE) + at };
}

static size_t table_bytes(const struct span *s)
{
	const uint32_t most = is_narrow(s) ? NARROW : WIDE;
	return (s->slots + most - 1) / most * CACHE_LINE;
}

uint32_t *sites_word(const struct span *s, uint32_t *table, uint32_t slot) { return entries(s, table, slot).site; }

static inline __attribute__((always_inline)) void spare_put(struct entries e, const struct span *s, size_t size)
{
	if (e.narrow)
		store_relaxed(e.narrow, (uint8_t)spare_of(s, size, UINT8_MAX));
	else
		store_relaxed(e.wide, (uint16_t)spare_of(s, size, UINT16_MAX));
}

static inline uint32_t spare_get(struct entries e) { return e.narrow ? load_relaxed(e.narrow) : load_relaxed(e.wide); }

/* The span's table, made if need be: another thread may be at it too, when a stop took the span from its owner. NULL: no memory. */
static __attribute__((noinline)) uint32_t *table_make(struct span *s)
{
	busy_enter();
	uint32_t *table = meta_take(table_bytes(s), CACHE_LINE), *seen = NULL;
	if (table && !cas(&s->sites, &seen, table))
		table = seen;
	busy_leave();
	if (!sites_sampled())
		backtrace_shed_at_times(false);
	return table;
}

uint32_t sites_here(const void *caller)
{
	const uint32_t site = LIKELY(stacks) ? backtrace_here(caller) : depot_child(0, (uintptr_t)caller);
	if (sites_sampled())
		backtrace_shed_at_times(true);
	return site;
}

/* ---- what a child of fork made ---- */

enum { MADE_MOST = 64 };
static uintptr_t made[MADE_MOST]; /* complements: a program that links the core has them in memory that is scanned */
static uint32_t made_count;       /* atomic */

static __attribute__((noinline)) void made_note(const void *p)
{
	const uint32_t i = load_relaxed(&made_count);
	if (i < MADE_MOST)
		store_relaxed(&made[add_relaxed(&made_count, 1) % MADE_MOST], ~(uintptr_t)p);
}

void sites_made_none(void) { store_relaxed(&made_count, 0); }

bool sites_each_made(bool (*fn)(const struct span *s, uint32_t slot))
{
	const uint32_t n = load_relaxed(&made_count);
	if (!heap_inherits || n >= MADE_MOST)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const uintptr_t at = ~load_relaxed(&made[i]);
		if (!arena_contains(at)) /* a thread came to its end between the two words of made_note */
			return false;
		const struct span *s = arena_span(at);
		if (s->kind == SPAN_LARGE ? s->start != at : s->kind != SPAN_SMALL)
			continue;
		const uint32_t slot = s->kind == SPAN_LARGE ? 0 : span_slot(s, at);
		if (slot >= s->slots || span_address(s, slot) != at || !state_is_block(s->state[slot]) || heap_is_inherited(s->state[slot]))
			continue;
		/* On a list again. A block whose second word says so too held that word by copying free memory. */
		if (s->kind == SPAN_SMALL && slot_is_cached(((const struct slot *)at)->key, span_state_bytes(s) + slot))
			continue;
		if (!fn(s, slot))
			return false;
	}
	return true;
}

void *sites_record(void *p, size_t size, const void *caller)
{
	uint32_t site = ignored_mark(sites_here(caller));
	struct span *s = arena_span((uintptr_t)p);
	if (UNLIKELY(s->kind == SPAN_LARGE)) {
		store_relaxed(&s->site, site);
		store_relaxed(&s->spare, spare_of(s, size, UINT32_MAX));
		if (heap_inherits)
			made_note(p);
		return p;
	}
	uint32_t *table = load_acquire(&s->sites), slot = span_slot(s, (uintptr_t)p);
	if (UNLIKELY(heap_inherits)) {
		heap_make_own(s, slot);
		made_note(p);
	}
	if (UNLIKELY(!table) && !(table = table_make(s)))
		return p;
	const struct entries e = entries(s, table, slot);
	store_relaxed(e.site, site);
	spare_put(e, s, size);
	return p;
}

void sites_resized(void *p, size_t size)
{
	struct span *s = arena_span((uintptr_t)p);
	uint32_t *table = load_acquire(&s->sites);
	if (s->kind == SPAN_LARGE)
		store_relaxed(&s->spare, spare_of(s, size, UINT32_MAX));
	else if (table)
		spare_put(entries(s, table, span_slot(s, (uintptr_t)p)), s, size);
}

uint32_t sites_of(const struct span *s, uint32_t slot)
{
	if (s->kind == SPAN_LARGE)
		return load_relaxed(&s->site) & ~IGNORED_BIT;
	uint32_t *table = load_acquire(&s->sites);
	return table && slot < load_relaxed(&s->slots) ? load_relaxed(sites_word(s, table, slot)) & ~IGNORED_BIT : 0;
}

size_t sites_bytes(const struct span *s, uint32_t slot)
{
	uint32_t spare = 0, *table = load_acquire(&s->sites);
	if (s->kind == SPAN_LARGE)
		spare = sites_on() ? load_relaxed(&s->spare) : 0;
	else if (table && slot < load_relaxed(&s->slots))
		spare = spare_get(entries(s, table, slot));
	if (spare && spare - 1 <= s->block)
		return s->block - (spare - 1);
	return s->block - !s->exact;
}

bool sites_whole;
size_t sites_extent(const struct span *s, uint32_t slot)
{
	/* Without a site the size that stands there may be that of the slot's last block. Small blocks, of which there are millions, take no call. */
	if (load_relaxed(&sites_whole))
		return s->block;
	if (UNLIKELY(s->kind == SPAN_LARGE))
		return sites_of(s, slot) ? sites_bytes(s, slot) : s->block;
	uint32_t *table = load_acquire(&s->sites);
	if (!table || slot >= load_relaxed(&s->slots))
		return s->block;
	const struct entries e = entries(s, table, slot);
	const uint32_t spare = load_relaxed(e.site) & ~IGNORED_BIT ? spare_get(e) : 0;
	return spare && spare - 1 <= s->block ? s->block - (spare - 1) : s->block;
}

void sites_prefetch(const struct span *s, uint32_t slot)
{
	uint32_t *table = load_acquire(&s->sites);
	if (table && s->kind != SPAN_LARGE)
		__builtin_prefetch(sites_word(s, table, slot));
}

/* -- by site -- */

static struct site *entry(uint32_t site) { return load_acquire(&chunks[site >> CHUNK_BITS]) + (site & (CHUNK - 1)); }
static bool known(uint32_t site) { return site >> CHUNK_BITS < CHUNKS && load_acquire(&chunks[site >> CHUNK_BITS]); }

const struct site *sites_get(uint32_t site)
{
	static const struct site nothing;
	return known(site) ? entry(site) : &nothing;
}

/* NULL: no memory. */
static struct site *entry_made(uint32_t site)
{
	if (site >> CHUNK_BITS >= CHUNKS)
		return NULL;
	for (uint32_t end = load_relaxed(&chunks_end); end <= site >> CHUNK_BITS && !cas(&chunks_end, &end, (site >> CHUNK_BITS) + 1);)
		;
	if (!known(site)) {
		struct site *fresh = os_map(CHUNK_BYTES), *none = NULL;
		if (!fresh)
			return NULL;
		if (!cas(&chunks[site >> CHUNK_BITS], &none, fresh))
			os_unmap(fresh, CHUNK_BYTES);
	}
	return entry(site);
}

void sites_recycled(uint32_t site, size_t bytes)
{
	struct site *e = sites_on() ? entry_made(site) : NULL;
	if (!e)
		return;
	add_relaxed(&e->recycled_blocks, 1);
	add_relaxed(&e->recycled_bytes, bytes);
}

/* The place in the code alone, whoever called it: code that hides the pointers of one block hides those of the next, by whatever way
 * it was reached. */
static uint32_t place_of(uint32_t site) { return depot_child(0, sites_address(site)); }

bool sites_make_immortal(uint32_t site)
{
	uint32_t mortal = 0;
	if (!site || site > sites_count())
		return false;
	uint32_t place = place_of(site);
	struct site *e = place ? entry_made(place) : NULL;
	if (!e)
		heap_end_recycling();
	if (!e || !cas(&e->immortal, &mortal, 1))
		return false;
	add_relaxed(&immortals, 1);
	return true;
}

void sites_forked(void)
{
	for (uint32_t i = 0, end = load_acquire(&chunks_end) << CHUNK_BITS; i < end; i += known(i) ? 1 : CHUNK)
		if (known(i))
			entry(i)->recycled_blocks = entry(i)->recycled_bytes = 0;
}

bool sites_any_immortal(void) { return load_relaxed(&immortals) && !fault(FAULT_law9_mortal_site); }
bool sites_immortal(uint32_t site)
{
	uint32_t place = sites_any_immortal() ? place_of(site) : 0;
	return place && known(place) && load_relaxed(&entry(place)->immortal);
}

void sites_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (uint32_t i = 0, end = load_acquire(&chunks_end); i < end; i++) {
		uintptr_t p = (uintptr_t)load_acquire(&chunks[i]);
		if (p)
			fn(p, p + CHUNK_BYTES);
	}
}
