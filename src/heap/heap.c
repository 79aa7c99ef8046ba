/*
 * The heap's face: malloc, calloc, realloc, free and lookup, all that the fast paths of cache.h leave over.
 *
 * Every entry here is a slow path and follows the same steps:
 *   1. busy_enter: the stop handler lets this thread finish (law 3)
 *   2. start the heap, notice a raw fork, make the thread's cache
 *   3. the work
 *   4. busy_leave: parks when a stop came in between
 *   5. outside busy: hooks that may run a cycle (pressure, exhausted), or the program's business (evidence, misuse)
 * A block on its way out lives in this function's frame during 4 and 5, so a stop there sees it as a root.
 */
#include "heap/altered.h"
#include "heap/arena.h"
#include "heap/cache_slow.h"
#include "heap/harden.h"
#include "heap/hooks.h"
#include "heap/recorded.h"
#include "heap/sites.h"
#include "backtrace/backtrace.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/stats.h"
#include "base/text.h"
#include "os/os.h"

#include <string.h>

struct heap_hooks heap_hooks;
struct heap_altstacks heap_altstacks;

/* On a page that the kernel wipes in every child made by fork or clone without CLONE_VM, so that raw system calls show too. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): a line each, of a page that holds nothing else */
static struct identity {
	uint32_t same_process;
	int word __attribute__((aligned(CACHE_LINE)));
} *identity;

static uint32_t start_state; /* atomic: 0 no, 1 somebody is at it, 2 done */

void heap_start(void)
{
	if (LIKELY(load_acquire(&start_state) == 2))
		return;
	uint32_t expected = 0;
	if (cas(&start_state, &expected, 1)) {
		classes_start();
		if (!arena_start())
			die("no address space for the heap: the process cannot run under cgc: raise ulimit -v or run without it");
		identity = os_map(OS_PAGE);
		if (!identity)
			die("no memory for the heap: the process cannot run under cgc: raise ulimit -v or run without it");
		os_wipeonfork(identity, OS_PAGE);
		identity->same_process = 1;
		arena.started = true;
		store_release(&start_state, 2);
		return;
	}
	while (load_acquire(&start_state) != 2)
		os_yield();
}

int *heap_wiped_word(void)
{
	heap_start();
	return &identity->word;
}

void heap_notice_fork(void)
{
	if (UNLIKELY(load_acquire(&start_state) == 2 && !load_relaxed(&identity->same_process)))
		heap_fork_child();
}

/* Steps 1 and 2, less the cache: a free after the thread's end must not leave one behind that nobody gives back. */
static void enter_bare(void)
{
	busy_enter();
	heap_start();
	heap_notice_fork();
}

/* Steps 1 and 2. NULL: no memory for a cache (the heap itself can still serve large blocks and free). */
static struct cache *enter(void)
{
	enter_bare();
	return cache_own();
}

/* Steps 4 and 5. */
static void leave(void)
{
	struct cache *c = self.cache;
	bool pressure = c->pressure;
	if (UNLIKELY(pressure))
		c->pressure = false;
	busy_leave();
	if (UNLIKELY(self.cache_born)) {
		self.cache_born = 0;
		if (heap_hooks.thread_seen)
			heap_hooks.thread_seen();
	}
	if (UNLIKELY(pressure) && heap_hooks.pressure && !self.in_collector)
		heap_hooks.pressure();
}

static bool retry(size_t size)
{
	if (self.in_collector)
		return false;
	if (heap_hooks.exhausted)
		return heap_hooks.exhausted(size);
	heap_trim();
	return true;
}

/* ---- malloc ---- */

/* Where callers are recorded no size is exempt from the spare byte (classes.c), unless an alignment is asked for: a leak is not to be missed because a
 * word one past the end of the block before it leads there. stdio keeps two such words of each buffer. */
static size_t with_spare_byte(size_t size, size_t align)
{
	return UNLIKELY(sites_on()) && align <= 16 && size && size % OS_PAGE == 0 ? size + 1 : size;
}

/* The class whose slot a block of class k gets: the stand-in, while the thread has few of class k and no slot at hand. */
static unsigned class_for_few(struct cache *c, unsigned k)
{
	if (LIKELY(!c->few[k]) || c->bins[k].alloc || c->stash[k])
		return k;
	c->few[k]--;
	return class_info[k].stand_in;
}

/* One attempt. *zero: the contents are zero (may be NULL). */
static void *malloc_once(size_t size, size_t align, bool *zero, const void *caller)
{
	void *p = NULL;
	bool record = sites_on();
	struct cache *c = enter();
	const size_t room = with_spare_byte(size, align);
	unsigned k = align > 16 ? class_of_aligned(align, room) : class_of(room);
	if (c && align <= 16 && k != CLASS_LARGE)
		k = class_for_few(c, k);
	if (zero)
		*zero = false;
	if (k == CLASS_LARGE) {
		p = large_malloc(room, align, zero);
		if (c)
			cache_stress(c);
		record = record && p && recorded_large(c, arena_span((uintptr_t)p)->block);
	} else if (c && UNLIKELY(record)) {
		p = recorded_take(c, k, zero, &record);
	} else if (c && (cache_at_hand(c, k) || cache_refill(c, k))) {
		p = cache_pop(k, zero);
	}
	leave();
	if (UNLIKELY(record) && p)
		sites_record(p, size, caller);
	return p;
}

static void *malloc_retry(size_t size, size_t align, bool *zero, const void *caller)
{
	if (UNLIKELY(size > PTRDIFF_MAX || align > PTRDIFF_MAX / 2))
		return NULL;
	for (int attempt = 0;; attempt++) {
		void *p = UNLIKELY(load_relaxed(&recorded_each)) && align == 16 ? recorded_quick(size, zero, caller) : NULL;
		if (!p)
			p = malloc_once(size, align, zero, caller);
		if (LIKELY(p != NULL))
			return p;
		if (attempt == 2 || !retry(size))
			return NULL;
	}
}

static __attribute__((noinline)) void *malloc_unrecorded(size_t size, const void *caller)
{
	/* The common case, short: the slots that this thread freed come round again. */
	if (LIKELY(size < TABLE_MAX) && !sites_on()) {
		unsigned k = class_table[size >> 4];
		struct cache *c = self.cache;
		if (c->bins[k].freed && !c->bins[k].alloc) {
			busy_enter();
			void *p = cache_refill(c, k) ? cache_pop(k, NULL) : NULL;
			leave();
			if (LIKELY(p != NULL))
				return p;
		}
	}
	return malloc_retry(size, 16, NULL, caller);
}

void *heap_malloc_slow(size_t size, const void *caller) { return recorded_malloc_or(size, caller, malloc_unrecorded); }
void *heap_malloc(size_t size) { return heap_malloc_fast(size); }

void *heap_aligned_from(size_t align, size_t size, const void *caller)
{
	return malloc_retry(size, align < 16 ? 16 : align, NULL, caller);
}
void *heap_aligned(size_t align, size_t size) { return heap_aligned_from(align, size, __builtin_return_address(0)); }

void *heap_calloc(size_t count, size_t size) { return heap_calloc_from(count, size, __builtin_return_address(0)); }
void *heap_calloc_from(size_t count, size_t size, const void *caller)
{
	size_t bytes;
	bool zero;
	void *p = NULL;
	if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes)))
		return NULL;
	if (LIKELY(bytes < TABLE_MAX))
		p = cache_pop(class_table[bytes >> 4], &zero);
	if (UNLIKELY(!p))
		p = malloc_retry(bytes, 16, &zero, caller);
	if (p && !zero)
		memset(p, 0, bytes);
	return p;
}

/* ---- free ---- */

void heap_misuse(const char *what, const char *call, const void *p, size_t block)
{
	stats_add(&stats.misuse, 1);
	if (heap_hooks.misuse)
		heap_hooks.misuse(what, call, p, block);
}

static void evidence(const struct evidence *e)
{
	stats_add(&stats.evidence, 1);
	if (heap_hooks.evidence && !fault(FAULT_law9_no_evidence))
		heap_hooks.evidence(e);
}

/* What kind of wrong a pointer in the window is that starts no live block; NULL: it was recycled (evidence). Busy. */
static const char *diagnose(uintptr_t a, const struct span *s, uint32_t slot, uint8_t byte)
{
	if (s->index == SPAN_VOID || (s->kind == SPAN_FREE_RUN && s->was_recycled))
		return NULL;
	if (s->slots == 0)
		return "points into memory that holds no block";
	if (slot >= s->slots || (s->kind == SPAN_LARGE && a - s->start >= s->block))
		return "points behind the last block of a span";
	if (span_address(s, slot) != a)
		return "points into a block, not at its start";
	if (byte == STATE_FREE)
		return "is free already";
	if (byte == STATE_RECYCLED || byte == STATE_FILLING)
		return NULL;
	return "is free already (and cached for reuse)";
}

/* The transition to free, law 1: at most one caller gets it. Result: the byte before; a non-block byte: not done. */
static uint8_t state_free(uint8_t *byte)
{
	uint8_t seen = load_relaxed(byte);
	while (state_is_block(seen) && !cas(byte, &seen, STATE_FREE)) {
	}
	return seen;
}

/* A pointer outside the arena that no malloc gave: told here. */
static bool foreign_is_wild(const void *p, const char *call)
{
	if (!heap_hooks.foreign_known || heap_hooks.foreign_known(p))
		return false;
	heap_misuse("is of no malloc", call, p, 0);
	return true;
}

/* Slots of one size may be of two classes. */
static size_t asked_of(const struct span *s, uint32_t slot) { return sites_on() ? sites_bytes(s, slot) : s->block; }

/* The program altered pages of the block that is being freed. false: its memory is never used again. */
static bool altered_freed(const struct span *s, uintptr_t start)
{
	heap_altstack_leaves(start, s->block);
	return altered_restore(s, start);
}

static __attribute__((noinline)) void free_slow(void *p, const void *caller)
{
	uintptr_t a = (uintptr_t)p;
	if (a <= CLASSES && self.cache->bins[a - 1].room < 0) { /* the end of a free that filled the bin of class a - 1 */
		enter();
		cache_flush(self.cache, (unsigned)a - 1, class_info[a - 1].batch);
		leave();
		return;
	}
	if (!arena_contains(a)) {
	foreign:
		stats_add(&stats.foreign_frees, 1);
		if (foreign_is_wild(p, "free"))
			return;
		if (heap_hooks.foreign_free)
			heap_hooks.foreign_free(p);
		return;
	}
	enter_bare();
	struct span *s = arena_span(a);
	if (s->index == SPAN_HOLE) {
		leave();
		goto foreign;
	}
	uint32_t i = s->slots ? span_slot(s, a) : 0;
	uint8_t seen = 0;
	uint32_t site = 0;
	const char *wrong = NULL;
	struct slot *slot = p;
	size_t block = s->slots ? s->block : 0, asked = block;
	bool done = false;
	if (i < s->slots && span_address(s, i) == a) {
		/* On an alloc list? Those slots' words are ours, so the key is certain; a live block cannot hold it by accident. */
		if (s->kind == SPAN_SMALL && state_is_allocated(load_relaxed(&s->state[i])) && slot_is_cached(slot->key, &s->state[i])) {
			seen = STATE_ALLOCATED;
			wrong = "is free already (and cached for reuse)";
		} else {
			site = sites_of(s, i); /* before anybody can have the slot next */
			asked = asked_of(s, i);
			seen = state_free(&s->state[i]);
			done = state_is_block(seen);
		}
	}
	if (done && UNLIKELY(seen == STATE_ALTERED) && !altered_freed(s, a)) {
		heap_account(-(int64_t)s->block);
	} else if (done && s->kind == SPAN_LARGE) {
		heap_altstack_leaves(s->start, s->block);
		large_free(s, false);
	} else if (done && load_relaxed(&s->owner) == self.cache) {
		struct bin *b = &self.cache->bins[s->class];
		slot->next = b->freed;
		slot->key = slot_key(&s->state[i]);
		b->freed = slot;
		if (--b->room < 0)
			cache_flush(self.cache, s->class, class_info[s->class].batch);
	} else if (done) {
		stats_add(&stats.remote_frees, 1);
		if (harden_on()) {
			harden_free(self.cache, slot);
		} else {
			heap_altstack_leaves(a, block);
			span_push_remote(s, slot);
		}
	} else if (!wrong) {
		wrong = diagnose(a, s, i, seen);
	}
	leave();
	if (UNLIKELY(!done && wrong))
		heap_misuse(wrong, "free", p, block);
	else if (UNLIKELY(!done || state_is_condemned(seen)))
		evidence(&(struct evidence){ p, block, asked, seen, site, caller, "free" });
}

/* NULL comes all the time. */
void heap_free_slow(void *p, const void *caller)
{
	if (p)
		free_slow(p, caller);
}

void heap_free(void *p)
{
	heap_free_fast(p);
}

/* ---- lookup ---- */

enum found heap_find(uintptr_t w, struct block_info *info)
{
	if (!arena_contains(w))
		return FOUND_NOTHING;
	struct span *s = arena_span(w);
	if (!s->slots || w < s->start)
		return FOUND_NOTHING;
	uint32_t i = span_slot(s, w);
	if (i >= s->slots)
		return FOUND_NOTHING;
	info->span = s;
	info->slot = i;
	info->start = span_address(s, i);
	info->size = s->block - !s->exact;
	info->state = load_relaxed(&s->state[i]);
	return state_is_block(info->state) ? FOUND_BLOCK : FOUND_FREE;
}

static __attribute__((noinline)) size_t usable_slowly(const void *p)
{
	uintptr_t a = (uintptr_t)p;
	struct block_info info;
	if (!p)
		return 0;
	if (!arena_contains(a) || arena_span(a)->index == SPAN_HOLE)
		return heap_hooks.foreign_usable ? heap_hooks.foreign_usable(p) : 0;
	return heap_find(a, &info) == FOUND_BLOCK && info.start == a ? info.size : 0;
}

/* Some programs ask in each malloc and each free (redis). */
size_t heap_usable(const void *p)
{
	uintptr_t a = (uintptr_t)p, offset = a - arena.base;
	if (UNLIKELY(!load_relaxed(&sites_whole)) && p) /* threads share its line */
		store_relaxed(&sites_whole, true);
	if (LIKELY(offset < load_acquire(&arena.limit))) {
		const struct span *s = &arena.spans[load_acquire(&arena.page_map[offset >> PAGE_SHIFT])];
		bool start;
		uint64_t slot = span_slot_start(s, a, &start); /* of large spans it is no start */
		if (LIKELY(start && slot < s->slots && state_is_block(load_relaxed(&s->state[slot]))))
			return s->block - !s->exact;
	}
	return usable_slowly(p);
}

/* ---- realloc ---- */

/* A condemned block that the program reallocates is plainly alive, and news to a verdict under way. false: too late, it was
 * recycled meanwhile. */
static bool revive(uint8_t *byte)
{
	uint8_t seen = load_relaxed(byte);
	while (state_is_condemned(seen) && !cas(byte, &seen, STATE_ALLOCATED | arena.stamp)) {
	}
	return state_is_block(seen);
}

void *heap_realloc(void *p, size_t size) { return heap_realloc_from(p, size, __builtin_return_address(0)); }

/* A block for realloc: the fast path, but the caller is realloc's. */
static void *malloc_from(size_t size, const void *caller)
{
	void *p = LIKELY(size < TABLE_MAX) ? cache_pop(class_table[size >> 4], NULL) : NULL;
	return LIKELY(p != NULL) ? p : heap_malloc_slow(size, caller);
}

void *heap_realloc_from(void *p, size_t size, const void *caller)
{
	uintptr_t a = (uintptr_t)p;
	struct block_info info;
	if (!p)
		return malloc_from(size, caller);
	if (!arena_contains(a) || arena_span(a)->index == SPAN_HOLE) {
		stats_add(&stats.foreign_frees, 1);
		if (foreign_is_wild(p, "realloc"))
			return NULL;
		return heap_hooks.foreign_realloc ? heap_hooks.foreign_realloc(p, size) : NULL;
	}
	enum found found = heap_find(a, &info);
	bool cached = found == FOUND_BLOCK && info.start == a && info.span->kind == SPAN_SMALL && info.state != STATE_ALTERED
	              && slot_is_cached(((struct slot *)p)->key, &info.span->state[info.slot]);
	if (UNLIKELY(found != FOUND_BLOCK || info.start != a || cached)) {
		busy_enter();
		struct span *s = arena_span(a);
		const char *wrong = diagnose(a, s, s->slots ? span_slot(s, a) : 0, cached ? STATE_ALLOCATED : found == FOUND_FREE ? info.state : 0);
		busy_leave();
		if (wrong)
			heap_misuse(wrong, "realloc", p, s->slots ? s->block : 0);
		else
			evidence(&(struct evidence){ p, s->slots ? s->block : 0, found == FOUND_FREE ? asked_of(s, info.slot) : 0, STATE_RECYCLED, found == FOUND_FREE ? sites_of(s, info.slot) : 0,
			                             caller, "realloc" });
		return NULL;
	}
	if (UNLIKELY(state_is_condemned(info.state))) {
		uint32_t site = sites_of(info.span, info.slot);
		const size_t asked = asked_of(info.span, info.slot);
		bool alive = revive(&info.span->state[info.slot]);
		evidence(&(struct evidence){ p, info.span->block, asked, info.state, site, caller, "realloc" });
		if (!alive)
			return NULL;
	}
	if (UNLIKELY(size > PTRDIFF_MAX))
		return NULL;
	size_t old = info.size;
	if (info.span->kind == SPAN_SMALL) {
		/* Stays when it fits and does not waste more than half. */
		if (size <= old && (size > old / 2 || old <= 64)) {
			if (UNLIKELY(sites_on()))
				sites_resized(p, size);
			return p;
		}
	} else if (class_of(with_spare_byte(size, 1)) == CLASS_LARGE) {
		enter();
		heap_altstack_leaves(info.span->start, info.span->block);
		void *q = info.state == STATE_ALTERED && size <= old ? p : large_realloc(info.span, with_spare_byte(size, 1));
		if (q && UNLIKELY(sites_on()))
			sites_resized(q, size); /* before a stop can see the new size of the span beside what was spare of the old one */
		leave();
		if (q)
			return q;
	}
	void *q = malloc_from(size, caller);
	if (!q)
		return size <= old ? p : NULL; /* shrinking cannot fail */
	memcpy(q, p, size < old ? size : old);
	heap_free_fast(p);
	return q;
}

/* ---- fork ---- */

bool heap_is_copy(void) { return !load_relaxed(&identity->same_process); }

void heap_fork_child(void)
{
	identity->same_process = 0; /* where the kernel wipes no pages */
	busy_enter();
	identity->same_process = 1;
	arena_fork_child();
	lock_reset(&caches_lock);
	span_fork_child();
	cache_fork_child();
	backtrace_forked();
	busy_leave();
	if (heap_hooks.forked)
		heap_hooks.forked();
}

/* ---- the rest ---- */

void heap_totals(struct heap_totals *t)
{
	heap_start();
	arena_totals(t);
	t->live = cache_live();
}

size_t heap_trim(void)
{
	busy_enter();
	if (self.cache != &empty_cache)
		cache_trim(self.cache);
	cache_take_idle(true);
	busy_leave();
	return heap_purge(true);
}

size_t heap_purge(bool all)
{
	busy_enter();
	heap_start();
	struct cache *c = self.cache;
	if (all && c != &empty_cache) {
		for (unsigned k = 0; k < CLASSES; k++)
			cache_flush(c, k, 0);
		harden_drain(c);
	}
	if (all)
		cache_reclaim();
	size_t bytes = arena_purge(all);
	busy_leave();
	return bytes;
}

void heap_set_limit(size_t bytes) { arena_set_limit(bytes); }
void heap_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	heap_start();
	arena_own_ranges(fn);
	sites_own_ranges(fn);
	fn((uintptr_t)identity, (uintptr_t)identity + OS_PAGE);
}
