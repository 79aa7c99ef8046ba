/*
 * Thread caches: birth, refill, flush, adoption, exit. What the collector and fork do to them stands in stopped.c.
 *
 * Refill moves at most a batch (8 KiB or 256 slots) to the alloc list, from the first of
 *   1. the bin's freed list (resting)           4. spans of this thread that look_around finds again
 *   2. a span with free, recycled, fresh slots  5. an abandoned span of the class
 *   3. the inbox: remote frees, recycled slots  6. a fresh span
 * and stamps each. Flush gives all but the newest batch of the freed list back to its spans, so that empty spans can go.
 *
 * Everything here runs busy unless it says otherwise.
 */
#include "heap/arena.h"
#include "heap/cache.h"
#include "heap/harden.h"
#include "heap/hooks.h"
#include "heap/recorded.h"
#include "heap/sites.h"
#include "backtrace/backtrace.h"
#include "base/fault.h"
#include "base/stats.h"
#include "base/text.h"
#include "os/os.h"

#include "heap/cache_slow.h"

#include <string.h>

STEADY struct cache empty_cache;
struct lock caches_lock = LOCK_INIT(RANK_CACHES);

struct cache *cache_all;
static unsigned stress;                   /* a refill in so many calls for a cycle; 0: none */

enum { LOOK = 8 };                        /* full spans that one refill looks at again: bounds the refill, finds all in the end */
enum { ADOPT = 8 };                       /* abandoned spans that one refill takes over */
enum { REST_SLOTS = 32, REST_BYTES = 2048 };
enum { PUBLISH = 64 << 10 };              /* bytes of growth that a thread keeps to itself */

void heap_stress(unsigned n)
{
	stress = n;
	recorded_update();
}

/* ---- accounts: live bytes, growth, pressure ---- */

static int64_t live;                      /* atomic: bytes handed out minus received back, as far as published */
static int64_t lowest;                    /* atomic: smallest since heap_watch_growth */
static int64_t watch = INT64_MAX;         /* atomic: growth over `lowest` that calls for a cycle */

bool cache_publish(int64_t bytes)
{
	int64_t now = __atomic_add_fetch(&live, bytes, __ATOMIC_RELAXED);
	int64_t low = load_relaxed(&lowest);
	while (now < low && !__atomic_compare_exchange_n(&lowest, &low, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return now - low >= load_relaxed(&watch);
}

void heap_account(int64_t bytes)
{
	struct cache *c = self.cache;
	bool pressure = cache_publish(bytes);
	if (pressure && c != &empty_cache)
		c->pressure = true;
}

static void account(struct cache *c, int64_t bytes)
{
	c->growth += bytes;
	if (c->growth >= PUBLISH || c->growth <= -PUBLISH) {
		c->pressure |= cache_publish(c->growth);
		c->growth = 0;
	}
}

void heap_watch_growth(size_t bytes)
{
	store_relaxed(&lowest, load_relaxed(&live));
	store_relaxed(&watch, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes);
}

void heap_watch_more(size_t bytes)
{
	store_relaxed(&watch, load_relaxed(&live) - load_relaxed(&lowest) + (int64_t)bytes);
}

size_t heap_growth(void)
{
	int64_t n = load_relaxed(&live) - load_relaxed(&lowest);
	return n < 0 ? 0 : (size_t)n;
}

static size_t list_length(const struct slot *slot)
{
	size_t n = 0;
	for (; arena_contains((uintptr_t)slot) && n <= BATCH_MOST; slot = slot->next)
		n++;
	return n;
}

/* Others go on meanwhile: their counters are read as they are, and of their lists only the freed one has a counter. */
size_t heap_in_use(void)
{
	int64_t bytes = load_relaxed(&live);
	busy_enter();
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next) {
		if (!load_relaxed(&c->live))
			continue;
		bytes += load_relaxed(&c->growth) + load_relaxed(&c->taken);
		for (unsigned k = 0; k < CLASSES; k++) {
			const struct bin *b = &c->bins[k];
			size_t ready = c == self.cache ? list_length(b->alloc) + list_length(c->stash[k]) : 0;
			bytes -= (int64_t)((ready + class_info[k].room - (uint32_t)load_relaxed(&b->room)) * class_info[k].block);
		}
	}
	busy_leave();
	return bytes < 0 ? 0 : (size_t)bytes;
}

size_t cache_live(void)
{
	int64_t n = load_relaxed(&live);
	return n < 0 ? 0 : (size_t)n;
}

/* ---- refill ---- */

/* Remote frees are received back: they leave the accounts like any other free. */
static void absorb(struct cache *c, struct span *s) { account(c, -(int64_t)(span_absorb(s) * s->block)); }

/* Slots came back to s: it moves to avail, or goes when it is empty. One empty span stays, so that a class at its edge does
 * not thrash. Result: it is avail. */
static bool settle(struct cache *c, struct span *s)
{
	if (UNLIKELY(span_is_empty(s)) && c->bins[s->class].avail && (c->bins[s->class].avail != s->index || s->next)) {
		span_list_remove(s, c);
		span_release(s);
		return false;
	}
	if (!span_has_slots(s))
		return false;
	span_list_move(s, c, LIST_AVAIL);
	return true;
}

bool cache_inbox_drain(struct cache *c)
{
	if (!load_relaxed(&c->inbox))
		return false;
	uint32_t i = __atomic_exchange_n(&c->inbox, 0, __ATOMIC_ACQUIRE);
	bool found = false;
	while (i) {
		struct span *s = &arena.spans[i];
		i = s->inbox_next;
		__atomic_exchange_n(&s->queued, 0, __ATOMIC_SEQ_CST); /* before absorbing: whoever pushes from here on notifies anew */
		struct cache *owner = load_relaxed(&s->owner);
		if (owner == c) {
			absorb(c, s);
			found |= settle(c, s);
		} else if (owner) { /* adopted by another while the note was on its way */
			span_notify(s);
		}
	}
	return found;
}

/* Looks at a few full spans again: remote frees whose note got lost with a dying owner, and recycled slots. */
static bool look_around(struct cache *c, unsigned k)
{
	struct bin *b = &c->bins[k];
	bool found = false;
	for (int n = 0; n < LOOK && b->full; n++) {
		struct span *s = &arena.spans[b->look && arena.spans[b->look].list == LIST_FULL ? b->look : b->full];
		b->look = s->next;
		absorb(c, s);
		found |= settle(c, s);
	}
	return found;
}

/* Takes over an abandoned span of class k that has slots. */
static bool adopt(struct cache *c, unsigned k)
{
	bool found = false;
	if (!load_relaxed(&cache_ready[k]))
		return false;
	lock_take(&caches_lock);
	for (int n = 0; n < ADOPT && cache_ready[k] && !found; n++) {
		struct span *s = &arena.spans[cache_ready[k]];
		span_list_remove(s, NULL);
		__atomic_store_n(&s->owner, c, __ATOMIC_SEQ_CST); /* before absorbing: see span_notify */
		absorb(c, s);
		found = span_has_slots(s);
		span_list_add(s, c, found ? LIST_AVAIL : LIST_FULL);
		stats_add(&stats.adopted_spans, 1);
	}
	lock_drop(&caches_lock);
	return found;
}

/* How many of the newest freed slots of a class rest, where callers are recorded. A program forgets words, and each leads to whatever comes to stand in
 * the slot of the block it named: a leak there would be missed by reports. The words of a program are forgotten near the block's free, and most of
 * what reports miss had come into a slot that had just been freed, in a short-lived child of fork above all. */
static uint32_t resting(unsigned k)
{
	const uint32_t slots = REST_BYTES / class_info[k].block;
	return slots < REST_SLOTS ? slots : REST_SLOTS;
}

/*
 * Lists of slots lie in memory that the program may still write to. A slot is believed if its address lies in the arena and its second word is the key of
 * a state byte that says what the list says; where slots stand in a row, if the key is the one that the row makes expect. A stale store to either
 * word ends the list in a line of ours: what hung off it is never handed out again.
 */

static inline __attribute__((always_inline)) bool has_freed_key(const struct slot *slot, uint8_t **byte)
{
	const uintptr_t at = slot->key * arena.inverse; /* NOLINT(clang-analyzer-core.NullDereference): it lies in the arena */
	*byte = (uint8_t *)at;
	return LIKELY(at - arena.bytes_low < arena.bytes_size) && LIKELY(load_folded(*byte) == STATE_FREE);
}

/* Is this a slot on a freed list of the calling thread? *byte: its state byte. */
static inline __attribute__((always_inline)) bool is_freed(const struct slot *slot, uint8_t **byte)
{
	return LIKELY((uintptr_t)slot - arena.base < load_folded(&arena.limit)) && has_freed_key(slot, byte);
}

static bool is_at_hand(const struct slot *slot)
{
	const uint8_t *byte = arena_contains((uintptr_t)slot) ? slot_byte(slot->key) : NULL;
	if (!byte && arena_contains((uintptr_t)slot))
		byte = slot_byte(slot->key ^ (uintptr_t)1 << KEY_ZERO_BIT);
	return byte && state_is_block(load_relaxed(byte));
}

/* `slot` is no slot of the list in which `before` leads to it (NULL: its head does). Whose word was overwritten? */
static __attribute__((noinline, cold)) void tell_stale_store(const struct slot *before, const struct slot *slot)
{
	struct block_info info;
	const uintptr_t a = (uintptr_t)slot;
	if (fault(FAULT_no_stale_line))
		return;
	const bool is_slot = heap_find(a, &info) != FOUND_NOTHING && info.start == a;
	const struct slot *at = before && !is_slot ? before : slot;
	heap_misuse("was written to after it was freed", "block", at, arena_contains((uintptr_t)at) ? arena_span((uintptr_t)at)->block : 0);
}

bool cache_believed(struct cache *c, unsigned k)
{
	struct slot **lists[] = { &c->bins[k].alloc, &c->stash[k] };
	bool any = false;
	for (unsigned i = 0; i < NELEM(lists); i++) {
		if (UNLIKELY(*lists[i] && !is_at_hand(*lists[i]))) {
			tell_stale_store(NULL, *lists[i]);
			*lists[i] = NULL;
		}
		any |= *lists[i] != NULL;
	}
	return any;
}

bool cache_is_zero(const struct slot *slot)
{
	const struct span *s = arena_span((uintptr_t)slot);
	return slot->key == (slot_key(&s->state[span_slot(s, (uintptr_t)slot)]) ^ (uintptr_t)1 << KEY_ZERO_BIT);
}

/* Where a freed list goes on behind its first n slots. */
static __attribute__((noinline)) struct slot **skip(struct slot **list, uint32_t n)
{
	const struct slot *before = NULL;
	uint8_t *byte;
	for (; *list && n; n--) {
		if (UNLIKELY(!is_freed(*list, &byte))) {
			tell_stale_store(before, *list);
			*list = NULL;
			break;
		}
		before = *list;
		list = &(*list)->next;
	}
	return list;
}

/* Slots of a freed list become allocated ones, *n at most; *n: how many are left to do. Result: the last of them, or NULL; *slot: what comes then, and if
 * some are left to do the list ends there, or there is no slot of it. A leaf: what else refill does would cost it its registers. */
static __attribute__((noinline)) struct slot *allocate_freed(struct slot **list, uint32_t *n)
{
	const uint8_t allocated = STATE_ALLOCATED | arena.stamp;
	struct slot *slot = *list, *last = NULL;
	uint32_t left = *n;
	uintptr_t step = 0;
	while (LIKELY((uintptr_t)slot - arena.base < load_folded(&arena.limit))) {
		uint8_t *byte;
	follow:
		if (UNLIKELY(!has_freed_key(slot, &byte)))
			break;
		store_relaxed(byte, allocated);
		last = slot;
		/* Neighbours are freed in a row as a rule. Where the branch predictor knows that, the next slot's address is there before
		 * the load that confirms it, and the walk takes no longer than its stores. */
		uintptr_t next = (uintptr_t)slot->next, guess = (uintptr_t)slot + step, same = guess;
		__asm__("" : "+r"(same)); /* or the compiler goes on with the loaded one, which it knows to be equal */
		slot = (struct slot *)next;
		if (!--left)
			break;
		if (LIKELY(next == same)) {
			slot = (struct slot *)guess;
			goto follow; /* a row leads nowhere else */
		}
		step = next - (uintptr_t)last;
	}
	*n = left;
	*list = slot;
	return last;
}

/* The freed list's newest slots, less those that rest, become allocated ones. NULL: there are no others. */
static inline struct slot *refill_from_freed(struct bin *b, unsigned k, uint32_t resting)
{
	struct slot **from = UNLIKELY(resting) ? skip(&b->freed, resting) : &b->freed, *const list = *from;
	/* How many by the counter, not by the end of the list: that branch is decided long before the loads arrive. */
	const uint32_t freed = class_info[k].room - (uint32_t)b->room - resting, n = freed < class_info[k].batch ? freed : class_info[k].batch;
	uint32_t left = n;
	struct slot *last = allocate_freed(from, &left);
	if (UNLIKELY(left && *from)) {
		tell_stale_store(last, *from);
		*from = NULL;
	}
	b->room = LIKELY(*from != NULL) ? b->room + (int32_t)n : (int32_t)(class_info[k].room - (from == &b->freed ? 0 : resting));
	if (UNLIKELY(!last))
		return NULL;
	last->next = NULL;
	return list;
}

/* The mutant of law 2: the list is in sight, and the thread may be stopped, before the slots are what they should be. */
static __attribute__((noinline)) struct slot *refill_torn(struct bin *b, unsigned k)
{
	uint32_t busy = self.busy;
	b->alloc = b->freed;
	store_relaxed(&self.busy, 0);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	struct slot *list = refill_from_freed(b, k, 0);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	store_relaxed(&self.busy, busy);
	return list;
}

/* Counts a refill (or a large block, or a recorded one) for stress=N, and for audit's pace. */
void cache_stress(struct cache *c)
{
	if (UNLIKELY(stress) && __atomic_add_fetch(&stats.counted_refills, 1, __ATOMIC_RELAXED) % stress == 0)
		c->pressure = true;
}

bool cache_stressed(void) { return stress; }

/* Most threads need a few blocks of most sizes: the first batch, whose slots are all written to, is one page of memory, not two. */
static bool first_of_class(const struct bin *b, const struct span *s) { return !s->virgin && !s->next && !b->full; }

static uint32_t batch_of(struct cache *c, unsigned k, const struct span *s)
{
	const uint32_t batch = class_info[k].batch, block = (uint32_t)class_info[k].block;
	const bool young = UNLIKELY(c->young);
	c->young -= young;
	if (!young && !first_of_class(&c->bins[k], s))
		return batch;
	const uint32_t left = OS_PAGE - (uint32_t)(span_address(s, s->virgin) & (OS_PAGE - 1)), n = (left + block - 1) / block;
	return n < batch ? n : batch;
}

/* Slots that change hands: a thread's alternate stack may lie in one that was freed, and a stop's frame would come to lie there. */
static __attribute__((noinline)) void altstacks_leave(const struct slot *list, unsigned k)
{
	uintptr_t low = UINTPTR_MAX, high = 0;
	for (const struct slot *s = list; s && arena_contains((uintptr_t)s); s = s->next) { /* a stale store may have changed a link */
		low = (uintptr_t)s < low ? (uintptr_t)s : low;
		high = (uintptr_t)s > high ? (uintptr_t)s : high;
	}
	if (!heap_altstacks_near(low, high + class_info[k].block) || !heap_hooks.altstacks_within(low, high + class_info[k].block))
		return;
	for (const struct slot *s = list; s && arena_contains((uintptr_t)s); s = s->next)
		heap_altstack_leaves((uintptr_t)s, class_info[k].block);
}

static inline bool ready(const struct slot *list, unsigned k)
{
	if (UNLIKELY(load_relaxed(&heap_altstacks.high)))
		altstacks_leave(list, k);
	return list != NULL;
}

static __attribute__((noinline)) bool refill_from_spans(struct cache *c, unsigned k)
{
	struct bin *b = &c->bins[k];
	for (;;) {
		while (b->avail) {
			struct span *s = &arena.spans[b->avail];
			uint32_t got;
			struct slot *list = span_hand_out(s, batch_of(c, k, s), &got);
			if (!got || !span_has_slots(s))
				span_list_move(s, c, LIST_FULL);
			if (!got)
				continue;
			account(c, (int64_t)got * class_info[k].block);
			b->alloc = list;
			return ready(list, k);
		}
		if (cache_inbox_drain(c) && b->avail)
			continue;
		if (look_around(c, k))
			continue;
		cache_look_at_idle();
		if (adopt(c, k))
			continue;
		struct span *s = span_fresh(k, c);
		if (!s) /* then nothing rests */
			return b->freed && ready(b->alloc = refill_from_freed(b, k, 0), k);
		span_list_add(s, c, LIST_AVAIL);
	}
}

/* Fills the alloc list of class k, which is empty. false: no memory. */
bool cache_refill(struct cache *c, unsigned k)
{
	struct bin *b = &c->bins[k];
	c->refills++;
	cache_stress(c);
	const uint32_t rest = UNLIKELY(sites_on()) ? resting(k) : 0;
	if (b->freed && class_info[k].room - (uint32_t)b->room > rest) {
		b->alloc = fault(FAULT_law2_torn_refill) ? refill_torn(b, k) : refill_from_freed(b, k, rest);
		if (LIKELY(ready(b->alloc, k)))
			return true;
	}
	return refill_from_spans(c, k);
}

/* ---- flush ---- */

/* One slot with byte 0 goes back to its span, which may thereby become avail or empty. A stop may have taken the span from this
 * thread meanwhile (heap_disown): then as a remote free. */
void cache_give_back(struct cache *c, struct slot *slot)
{
	struct span *s = arena_span((uintptr_t)slot);
	if (UNLIKELY(load_relaxed(&s->owner) != c)) {
		span_push_remote(s, slot);
		if (!load_relaxed(&s->owner))
			cache_reclaim_span(s);
		return;
	}
	span_take_back(s, slot);
	account(c, -(int64_t)s->block);
	if (UNLIKELY(span_is_empty(s)) || s->list == LIST_FULL)
		settle(c, s);
}

uint32_t cache_count_freed(const struct bin *b)
{
	uint32_t n = 0;
	uint8_t *byte;
	for (const struct slot *s = b->freed; s && is_freed(s, &byte); s = s->next)
		n++;
	return n;
}

uint32_t cache_take_freed(struct cache *c, unsigned k)
{
	struct slot *first = load_acquire(&c->bins[k].freed), *before = first;
	uint8_t *byte;
	uint32_t n = 0;
	if (!first || !is_freed(first, &byte))
		return 0;
	struct slot *slot = first->next;
	ready(slot, k);
	first->next = NULL;
	for (struct slot *next; slot; before = slot, slot = next) {
		if (UNLIKELY(!is_freed(slot, &byte))) {
			tell_stale_store(before, slot);
			break;
		}
		next = slot->next;
		cache_give_back(c, slot);
		n++;
	}
	return n;
}

void cache_flush(struct cache *c, unsigned k, uint32_t keep)
{
	struct bin *b = &c->bins[k];
	const uint32_t most = class_info[k].room - (uint32_t)b->room, kept = harden_on() ? 0 : keep < most ? keep : most;
	uint8_t *byte;
	struct slot **tail = skip(&b->freed, kept), *slot = *tail, *before = NULL;
	ready(slot, k);
	*tail = NULL;
	for (struct slot *next; slot; before = slot, slot = next) {
		if (UNLIKELY(!is_freed(slot, &byte))) {
			tell_stale_store(before, slot);
			break;
		}
		next = slot->next;
		if (harden_on())
			harden_free(c, slot);
		else
			cache_give_back(c, slot);
	}
	b->room = (int32_t)class_info[k].room - (int32_t)kept;
}

/* ---- birth, exit ---- */

/* The calling thread's cache, made or reused. NULL: no memory. */
struct cache *cache_own(void)
{
	struct cache *c = self.cache;
	if (LIKELY(c != &empty_cache))
		return c;
	lock_take(&caches_lock);
	for (c = cache_all; c && c->live; c = c->next) {
	}
	if (!c) {
		c = meta_take(sizeof *c, CACHE_LINE);
		if (c) {
			c->next = cache_all;
			store_release(&cache_all, c);
		}
	}
	if (c) {
		store_relaxed(&c->self, &self);
		c->tid = os_tid();
		store_relaxed(&c->live, true);
		c->taken = 0;
		c->growth = 0;
		c->pressure = false;
		for (unsigned k = 0; k < CLASSES; k++) {
			c->bins[k].room = (int32_t)class_info[k].room;
			c->few[k] = class_info[k].few;
		}
		self.cache = c;
		self.cache_born = 1;
	}
	lock_drop(&caches_lock);
	if (c) /* a looker that has not noticed yet what became of the last owner */
		cache_come_home(c);
	return c;
}

static void empty_list(struct cache *c, struct slot **list)
{
	struct slot *slot = *list, *before = NULL;
	*list = NULL;
	for (struct slot *next; slot; before = slot, slot = next) {
		if (UNLIKELY(!is_at_hand(slot))) {
			tell_stale_store(before, slot);
			return;
		}
		next = slot->next;
		struct span *s = arena_span((uintptr_t)slot);
		store_relaxed(&s->state[span_slot(s, (uintptr_t)slot)], STATE_FREE);
		cache_give_back(c, slot);
	}
}

/* All that is at hand of class k goes into its spans. */
static void empty_bin(struct cache *c, unsigned k)
{
	empty_list(c, &c->bins[k].alloc);
	empty_list(c, &c->stash[k]);
	cache_flush(c, k, 0);
}

/* Before malloc gives up: what this thread has at hand of any size must serve every other, the last empty span of a class too. */
void cache_trim(struct cache *c)
{
	cache_inbox_drain(c);
	for (unsigned k = 0; k < CLASSES; k++) {
		empty_bin(c, k);
		for (uint32_t i = c->bins[k].avail, next; i; i = next) {
			struct span *s = &arena.spans[i];
			next = s->next;
			if (!span_is_empty(s) || load_relaxed(&s->remote))
				continue;
			span_list_remove(s, c);
			span_release(s);
		}
	}
	harden_drain(c);
}

/* Empties all lists of every bin into the spans, and abandons the spans. `c` is the calling thread's, or that of a thread
 * which does not exist in this (forked) process. */
void cache_abandon(struct cache *c)
{
	cache_inbox_drain(c);
	for (unsigned k = 0; k < CLASSES; k++) {
		empty_bin(c, k);
		c->bins[k].look = 0;
	}
	harden_drain(c);
	cache_publish(c->growth);
	c->growth = 0;
	stats_add(&stats.refills, c->refills);
	c->refills = 0;
	lock_take(&caches_lock);
	for (unsigned k = 0; k < CLASSES; k++)
		for (int pass = 0; pass < 2; pass++)
			for (uint32_t i = pass ? c->bins[k].full : c->bins[k].avail, next; i; i = next) {
				struct span *s = &arena.spans[i];
				next = s->next;
				span_list_remove(s, c);
				if (span_is_empty(s) && !load_relaxed(&s->remote)) {
					span_release(s);
					continue;
				}
				__atomic_store_n(&s->owner, NULL, __ATOMIC_SEQ_CST);
				span_list_abandon(s);
			}
	store_relaxed(&c->live, false);
	store_relaxed(&c->self, NULL);
	lock_drop(&caches_lock);
}

void heap_thread_exit(void)
{
	struct cache *c = self.cache;
	if (sites_on())
		backtrace_thread_exit();
	if (c == &empty_cache)
		return;
	busy_enter();
	cache_abandon(c);
	self.cache = &empty_cache;
	busy_leave();
}

/* Made sure of by a block that is taken and given back: frees go to the other list. */
void *heap_next(size_t size)
{
	heap_free(heap_malloc(size));
	struct slot *first = self.cache->bins[class_table[size >> 4]].alloc;
	return first ? first : self.cache->stash[class_table[size >> 4]];
}
