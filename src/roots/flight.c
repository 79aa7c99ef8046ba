/*
 * The table of words in flight.
 *
 *   key    offset in the arena + 1 (44 bits) | channel (20 bits)     not a pointer: a scan of it keeps nothing
 *   mark   tick of the last note (32) | version (16) | count (16)    count 0: free; BEING_TAKEN: see below
 *
 * A key's place is one of the 16 notes of its window, in one of three tables; the next, larger table is mapped when the window is full
 * in the one before. All three full: words could not be noted, and for `life` no cycle may judge (law 8).
 *
 * Lock-free, because write is async-signal-safe: a handler may write on top of any instruction here, and may leave by longjmp.
 *
 *   note, the key is there    CAS count + 1, tick = now
 *   note, a free place        CAS count 0 -> BEING_TAKEN, version + 1; store key; store tick = now, count 1
 *   drop                      CAS count - 1; the key stays, so that the same word comes back cheaply
 *
 * A key changes only while its mark says BEING_TAKEN, which nobody else touches, and each taking makes another version. So whoever
 * read mark, then key, then succeeds with a CAS from that very mark has counted for that key. Two notes of one key may take two
 * places; a drop finds either. A thread that never comes back from BEING_TAKEN (longjmp, fork) leaves a place behind that nobody takes again.
 *
 * Words expire only here: flight_each, inside a stop, gives up those that are older than `life`. A thread stopped in the middle of
 * a note still holds its word in hand (a root); so it does between its note and `any` or `used`, which are set last.
 */
#include "roots/flight.h"
#include "base/stats.h"
#include "heap/heap.h"
#include "os/os.h"
#include "roots/inside.h"

#include <string.h>

enum { TABLES = 3, WINDOW = 16, CHANNEL_BITS = 20, BEING_TAKEN = 0xffff, COUNT_MOST = 0xfffe, TICK_NS = 100000000 };

struct note {
	uint64_t key;  /* atomic */
	uint64_t mark; /* atomic */
};
static STEADY struct table {
	struct note *at; /* atomic: set once, by CAS */
	bool used;       /* atomic: may have notes; set behind each note, cleared inside a stop */
} tables[TABLES];
static const uint8_t log_sizes[TABLES] = { 10, 14, 18 };

static uint32_t full_tick; /* atomic: when a word could not be noted, 0 never */

struct flight flight = { .life = 100 };

void flight_start(unsigned seconds) { flight.life = seconds * 10; }
uint32_t flight_now(void) { return (uint32_t)(os_coarse_ns() / TICK_NS) + 1; }
void flight_duplicated(void) { store_relaxed(&flight.duplicated, true); }

static uint64_t mix(uint64_t x)
{
	x *= 0x9E3779B97F4A7C15u;
	return x ^ x >> 32;
}

uint32_t flight_channel(uint64_t a, uint64_t b)
{
	uint32_t c = (uint32_t)(mix(mix(a) + b) >> (64 - CHANNEL_BITS));
	return c < FLIGHT_CHANNELS ? c + FLIGHT_CHANNELS : c;
}

/* -- the look -- */

/* The three highest bytes of an address are all that most data has to be looked at for: 16 of them at once. */
typedef uint8_t bytes __attribute__((vector_size(16)));
typedef bytes loose_bytes __attribute__((aligned(1), may_alias));
struct high { /* of the words that are looked for: byte 5 under a mask of the bits that all of them share */
	bytes mask, value;
};

static inline bytes hits(const uint8_t *p, struct high h)
{
	bytes a = *(const loose_bytes *)(p + 5), b = *(const loose_bytes *)(p + 6), c = *(const loose_bytes *)(p + 7);
	return (bytes)((a & h.mask) == h.value) & (bytes)((b | c) == 0);
}
static inline bool any(bytes b)
{
	typedef uint64_t halves __attribute__((vector_size(16)));
	halves h = (halves)b;
	return (h[0] | h[1]) != 0;
}

/* The first byte from `i` on at which a word of the window begins, or `end`. */
static size_t first_word(const uint8_t *p, size_t i, size_t end, uintptr_t base, uintptr_t limit)
{
	while (i < end && *(const word_t *)(p + i) - base > limit)
		i++;
	return i;
}

size_t flight_next(const void *buf, size_t n, size_t from, uintptr_t *word)
{
	const uint8_t *p = buf;
	const uintptr_t base = arena.base, limit = load_acquire(&arena.limit);
	if (n < sizeof *word || !limit)
		return n;
	const size_t end = n - sizeof *word + 1; /* words begin at bytes below */
	const uint8_t low = (uint8_t)(base >> 40), mask = (uint8_t)~(low ^ (uint8_t)((base + limit) >> 40));
	size_t i = from, found;
	if (end - i >= 16 && i < end) {
		const struct high h = { (bytes){} + mask, (bytes){} + (uint8_t)(low & mask) };
		while (i + 64 <= end && LIKELY(!any(hits(p + i, h) | hits(p + i + 16, h) | hits(p + i + 32, h) | hits(p + i + 48, h))))
			i += 64;
		while (i + 16 <= end && LIKELY(!any(hits(p + i, h))))
			i += 16;
		if (i + 16 > end && LIKELY(!any(hits(p + end - 16, h)))) /* the rest, and a little again */
			return n;
	}
	found = first_word(p, i, end, base, limit);
	if (found >= end)
		return n;
	*word = *(const word_t *)(p + found);
	return found;
}

/* -- the table -- */

static inline unsigned count_of(uint64_t mark) { return mark & 0xffff; }
static inline uint32_t tick_of(uint64_t mark) { return (uint32_t)(mark >> 32); }
static inline uint64_t with_tick(uint64_t mark, uint32_t tick) { return (mark & 0xffffffff) | (uint64_t)tick << 32; }

/* 0: no such key. */
static uint64_t key_of(uintptr_t word, uint32_t channel)
{
	uint64_t offset = word - arena.base + 1;
	return offset >> (64 - CHANNEL_BITS) ? 0 : offset << CHANNEL_BITS | channel;
}
static uintptr_t word_of(uint64_t key) { return arena.base + (uintptr_t)(key >> CHANNEL_BITS) - 1; }

static size_t table_bytes(unsigned t) { return sizeof(struct note) << log_sizes[t]; }

static struct note *window(unsigned t, uint64_t key)
{
	struct note *at = load_acquire(&tables[t].at);
	return at ? at + (mix(key) >> (64 - log_sizes[t]) & ~(uint64_t)(WINDOW - 1)) : NULL;
}

static struct note *window_made(unsigned t, uint64_t key)
{
	struct note *there = window(t, key), *none = NULL;
	if (LIKELY(there != NULL))
		return there;
	struct note *fresh = os_map(table_bytes(t));
	if (fresh && !cas(&tables[t].at, &none, fresh))
		os_unmap(fresh, table_bytes(t));
	return window(t, key);
}

/* The key has a place in this window: one more. */
static bool count_up(struct note *w, uint64_t key, uint32_t now)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		uint64_t mark = load_acquire(&w[i].mark); /* before the key: see above */
		while (load_acquire(&w[i].key) == key && count_of(mark) != BEING_TAKEN) {
			uint64_t more = with_tick(mark + (count_of(mark) < COUNT_MOST), (int32_t)(now - tick_of(mark)) > 0 ? now : tick_of(mark));
			if (cas(&w[i].mark, &mark, more))
				return true;
		}
	}
	return false;
}

static bool take_free(struct note *w, uint64_t key, uint32_t now)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		uint64_t mark = load_acquire(&w[i].mark);
		uint64_t taken = (mark & ~0xffffffffull) | ((mark + 0x10000) & 0xffff0000) | BEING_TAKEN;
		if (count_of(mark) == 0 && cas(&w[i].mark, &mark, taken)) {
			store_release(&w[i].key, key);
			store_release(&w[i].mark, with_tick(taken - BEING_TAKEN + 1, now));
			return true;
		}
	}
	return false;
}

void flight_note(uintptr_t word, uint32_t channel, uint32_t now)
{
	uint64_t key = key_of(word, channel);
	bool done = false;
	for (unsigned t = 0; key && !done && t < TABLES; t++) {
		struct note *w = window_made(t, key);
		done = w && (count_up(w, key, now) || take_free(w, key, now));
		if (done && !load_relaxed(&tables[t].used))
			store_relaxed(&tables[t].used, true);
	}
	if (UNLIKELY(!done))
		store_relaxed(&full_tick, flight_now());
	if (UNLIKELY(channel == FLIGHT_DEVICE))
		store_relaxed(&flight.devices, true);
	if (!load_relaxed(&flight.any))
		store_relaxed(&flight.any, true);
	__asm__ volatile("" : : "r"(word)); /* in hand until here */
}

bool flight_drop(uintptr_t word, uint32_t channel)
{
	uint64_t key = key_of(word, channel);
	if (load_relaxed(&flight.duplicated) || channel == FLIGHT_KEPT || channel == FLIGHT_DEVICE)
		return false;
	for (unsigned t = 0; key && t < TABLES; t++) {
		struct note *w = window(t, key);
		for (unsigned i = 0; w && i < WINDOW; i++) {
			uint64_t mark = load_acquire(&w[i].mark);
			while (load_acquire(&w[i].key) == key && count_of(mark) != 0 && count_of(mark) < COUNT_MOST) /* too often to count: its time ends it */
				if (cas(&w[i].mark, &mark, mark - 1))
					return true;
		}
	}
	return false;
}

/* -- for the collector, inside the stop -- */

bool flight_was_full(void) { return load_relaxed(&full_tick); }
bool flight_full(uint32_t now)
{
	uint32_t then = load_relaxed(&full_tick);
	return then && (int32_t)(now - then) <= (int32_t)flight.life;
}

static bool of_device(const struct note *n) { return (n->key & ((1u << CHANNEL_BITS) - 1)) == FLIGHT_DEVICE; }

/* Words that a device holds have no time: one is over when the program freed its block, for then nobody may use it. */
static bool over(const struct note *n, uint64_t mark, uint32_t now)
{
	struct block_info info;
	if (!of_device(n))
		return (int32_t)(now - tick_of(mark)) > (int32_t)flight.life;
	return heap_find(word_of(n->key), &info) != FOUND_BLOCK && heap_find(word_of(n->key) - 1, &info) != FOUND_BLOCK;
}

size_t flight_each(void (*fn)(uintptr_t word), uint32_t now)
{
	size_t words = 0, device = 0;
	for (unsigned t = 0; t < TABLES; t++) {
		size_t before = words;
		if (!load_relaxed(&tables[t].used))
			continue;
		for (struct note *n = tables[t].at, *end = n + ((size_t)1 << log_sizes[t]); n < end; n++) {
			uint64_t mark = load_relaxed(&n->mark);
			if (count_of(mark) == 0)
				continue;
			if (count_of(mark) != BEING_TAKEN && over(n, mark, now)) {
				store_relaxed(&n->mark, mark & ~0xffffull);
				continue;
			}
			if (n->key) /* being taken: the old one or the new */
				fn(word_of(n->key));
			words++;
			device += of_device(n);
		}
		if (words == before)
			store_relaxed(&tables[t].used, false);
	}
	if (!words)
		store_relaxed(&flight.any, false);
	stats.in_device = device;
	return words;
}

void flight_memory(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (unsigned t = 0; t < TABLES; t++) {
		uintptr_t at = (uintptr_t)load_acquire(&tables[t].at);
		fn(at, at ? at + table_bytes(t) : 0);
	}
}
