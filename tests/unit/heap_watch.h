/*
 * What the heap's tests share: hooks that record instead of ending the process, byte patterns, a ledger of the addresses
 * that are handed out, and small looks into spans. Each test is a process of its own, so all of it starts fresh.
 */
#ifndef CGC_TESTS_HEAP_WATCH_H
#define CGC_TESTS_HEAP_WATCH_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/stats.h"
#include "heap/classes.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"

/* Sanitizers slow everything down and map memory of their own. */
#define SANITIZED CONFIG_RESERVE

/* Criterion tells its runner about every assert, passed ones too, which is too slow for loops. Main thread only: other
 * threads count their failures with `wrong`. */
#define must(cond, ...)                                                                                               \
	do {                                                                                                          \
		if (!(cond))                                                                                          \
			cr_assert_fail(__VA_ARGS__);                                                                  \
	} while (0)

/* First failed claim of any thread, and how many; checked by the main thread when all have joined. */
static uint32_t wrongs;
static const char *first_wrong;
static inline bool claim(bool ok, const char *what)
{
	if (!ok && add_relaxed(&wrongs, 1) == 0)
		__atomic_store_n(&first_wrong, what, __ATOMIC_RELEASE);
	return ok;
}
static inline void no_claim_failed(void)
{
	must(load_relaxed(&wrongs) == 0, "%u claims failed, the first: %s", load_relaxed(&wrongs), load_acquire(&first_wrong));
}

/* -- hooks that record -- */
static struct {
	uint32_t misuse, evidence, foreign_free, foreign_realloc, foreign_usable, exhausted, pressure;
	const void *last;
	char what[160], call[40];
	size_t block;
	uint8_t state;
	uint32_t site;
	const void *caller;
} seen;
static char foreign_block[64]; /* what the foreign hooks answer with */

static inline void note_call(const void *p, const char *call)
{
	__atomic_store_n(&seen.last, p, __ATOMIC_RELAXED);
	for (size_t i = 0; call && i + 1 < sizeof seen.call; i++) {
		store_relaxed(&seen.call[i], call[i]);
		if (!call[i])
			break;
	}
}
static inline void on_misuse(const char *what, const char *call, const void *p, size_t block)
{
	add_relaxed(&seen.misuse, 1);
	note_call(p, call);
	store_relaxed(&seen.block, block);
	if (what)
		snprintf(seen.what, sizeof seen.what, "%s", what);
}
static inline void on_evidence(const struct evidence *e)
{
	add_relaxed(&seen.evidence, 1);
	note_call(e->p, e->call);
	store_relaxed(&seen.state, e->state);
	store_relaxed(&seen.site, e->site);
	store_relaxed(&seen.caller, e->caller);
}
static bool nobody_knows; /* of foreign pointers */
static inline bool on_foreign_known(const void *p) { (void)p; return !nobody_knows; }
static inline void on_foreign_free(void *p) { add_relaxed(&seen.foreign_free, 1); note_call(p, "free"); }
static inline void *on_foreign_realloc(void *p, size_t size)
{
	(void)size;
	add_relaxed(&seen.foreign_realloc, 1);
	note_call(p, "realloc");
	return foreign_block;
}
static inline size_t on_foreign_usable(const void *p)
{
	add_relaxed(&seen.foreign_usable, 1);
	note_call(p, "usable");
	return 4711;
}
static inline bool on_exhausted(size_t bytes) { (void)bytes; add_relaxed(&seen.exhausted, 1); return false; }
static inline void on_pressure(void) { add_relaxed(&seen.pressure, 1); }

static inline void record_hooks(void)
{
	options_defaults(&options);
	heap_hooks = (struct heap_hooks){
		.pressure = on_pressure, .exhausted = on_exhausted, .evidence = on_evidence, .misuse = on_misuse,
		.foreign_known = on_foreign_known, .foreign_free = on_foreign_free, .foreign_realloc = on_foreign_realloc, .foreign_usable = on_foreign_usable,
	};
}
/* Fixture of most suites. */
static inline void heap_begin(void)
{
	if (getenv("CGC_FAULT")) /* tests/mutants names tests that must fail with a mutant armed */
		cr_assert_null(fault_parse(getenv("CGC_FAULT")));
	record_hooks();
	heap_start();
}
static inline void no_complaints(void)
{
	must(seen.misuse == 0, "misuse of correct calls: %s", seen.what);
	must(seen.evidence == 0, "evidence from correct calls");
}

/* -- deterministic noise and patterns -- */
static inline uint64_t noise(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
enum { PATTERN = 1 << 20 };
static uint8_t pattern_bytes[PATTERN + 256];
static inline const uint8_t *pattern(unsigned seed)
{
	if (!pattern_bytes[1]) {
		uint64_t n = 88172645463325252u;
		for (size_t i = 0; i < sizeof pattern_bytes; i++)
			pattern_bytes[i] = (uint8_t)(noise(&n) | 1);
	}
	return pattern_bytes + seed % 256;
}
/* n <= PATTERN */
static inline void fill(void *p, size_t n, unsigned seed) { memcpy(p, pattern(seed), n); }
static inline bool holds(const void *p, size_t n, unsigned seed) { return memcmp(p, pattern(seed), n) == 0; }
static inline bool all_bytes(const void *p, size_t n, uint8_t b)
{
	const uint8_t *c = p;
	return n == 0 || (c[0] == b && memcmp(c, c + 1, n - 1) == 0);
}

/* -- a ledger of blocks in somebody's hands: one byte for each 16 of the window -- */
enum { LEDGER = 1 << 27 }; /* 2 GiB of window; pages appear when touched */
static uint8_t *ledger;
static inline void ledger_open(void)
{
	ledger = mmap(NULL, LEDGER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(ledger != MAP_FAILED, "no memory for the test's own ledger");
}
static inline uint8_t *ledger_of(const void *p)
{
	size_t i = ((uintptr_t)p - arena.base) >> 4;
	return i < LEDGER ? &ledger[i] : NULL;
}
/* false: somebody already holds this address */
static inline bool ledger_take(const void *p)
{
	uint8_t *l = ledger_of(p);
	return l && __atomic_exchange_n(l, 1, __ATOMIC_ACQ_REL) == 0;
}
static inline bool ledger_give(const void *p)
{
	uint8_t *l = ledger_of(p);
	return l && __atomic_exchange_n(l, 0, __ATOMIC_ACQ_REL) == 1;
}

/* -- looks into the heap -- */
static inline size_t live_bytes(void)
{
	struct heap_totals t;
	heap_totals(&t);
	return t.live;
}
static inline size_t mapped_bytes(void)
{
	struct heap_totals t;
	heap_totals(&t);
	return t.mapped;
}
/* Where the judge would see p's byte. p must be a block or a free slot of a small span, or a large block. */
static inline uint8_t *state_at(const void *p)
{
	struct span *s = arena_span((uintptr_t)p);
	uint32_t slot = span_slot(s, (uintptr_t)p);
	must(slot < s->slots, "%p lies in no slot", p);
	return &s->state[slot];
}
static inline uint8_t state_now(const void *p) { return load_acquire(state_at(p)); }
/* The same of a block that was freed: its span may have gone back to the arena meanwhile. */
static inline uint8_t state_or_free(const void *p)
{
	struct block_info b;
	return heap_find((uintptr_t)p, &b) == FOUND_NOTHING ? STATE_FREE : b.state;
}
static inline struct span *span_of(const void *p) { return arena_span((uintptr_t)p); }
static inline uint32_t slot_of(const void *p) { return span_slot(span_of(p), (uintptr_t)p); }

/* Smallest and largest size whose home is class c (c among those of malloc); false: no size goes there. */
static inline bool class_sizes(unsigned c, size_t *low, size_t *high)
{
	size_t n = 0;
	while (n <= SMALL_MAX && class_of(n) != c)
		n++;
	if (n > SMALL_MAX)
		return false;
	*low = n;
	while (n <= SMALL_MAX && class_of(n) == c)
		n++;
	*high = n - 1;
	return true;
}

static inline size_t resident_bytes(void)
{
	size_t pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "r");
	must(f && fscanf(f, "%zu %zu", &ignored, &pages) == 2, "/proc/self/statm is unreadable");
	fclose(f);
	return pages * 4096;
}

#endif
