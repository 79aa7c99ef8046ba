/*
 * What happens to caches and spans behind the back of their owners: inside a stop, where every owner is parked outside its slow
 * paths, and in a forked child, where the other owners are gone. Also the purge of spans that have no owner.
 *
 * Inside a stop: alloc lists are read; dead threads' caches are given back (heap_reap); dying spans are taken from their owners
 * (heap_disown), empty ones from everybody (heap_collect_empty; their pages go after the resume).
 *
 * In a forked child: a thread that was busy left lists and counts as they were at some instruction. They are dropped, and all
 * abandoned lists are built anew from the descriptors.
 */
#include "heap/arena.h"
#include "heap/cache_slow.h"
#include "heap/sites.h"
#include "base/fault.h"
#include "base/stats.h"
#include "os/os.h"

#include <string.h>

enum { NEVER_EMPTY = 1 << 30 };

static uint32_t released; /* spans taken out inside a stop, by `next`; collecting thread only */

/* ---- for the collector, inside a stop ---- */

/* One list of class k. */
static bool each_cached(struct slot *slot, unsigned k, bool (*fn)(struct span *s, uint32_t slot))
{
	for (uint32_t n = 0; slot; slot = slot->next) {
		uintptr_t a = (uintptr_t)slot;
		if (!arena_contains(a) || a % 16 || n++ > BATCH_MOST)
			return false;
		struct span *s = arena_span(a);
		uint32_t i = span_slot(s, a);
		/* A slot that is popped keeps its link for one instruction longer than it stands on the list; here every
		 * slot stands on it. Its key says so. */
		if (s->kind != SPAN_SMALL || s->class != k || i >= s->slots || span_address(s, i) != a
		    || !(state_is_allocated(s->state[i]) || s->state[i] == STATE_ALTERED) || !slot_is_cached(slot->key, span_state_bytes(s) + i))
			return false;
		if (!fn(s, i))
			return false;
	}
	return true;
}

bool heap_each_cached(bool (*fn)(struct span *s, uint32_t slot))
{
	bool stash = !fault(FAULT_no_stash);
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next)
		for (unsigned k = 0; k < CLASSES; k++)
			if (!each_cached(c->bins[k].alloc, k, fn) || (stash && !each_cached(c->stash[k], k, fn)))
				return false;
	return true;
}

static uint32_t stamps_made; /* inside a stop */

uint8_t heap_advance_stamp(void)
{
	uint8_t next = arena.stamp == STATE_STAMP ? 1 : arena.stamp + 1;
	store_relaxed(&arena.stamp, next);
	stamps_made++;
	return next;
}

static uint32_t inherited_before; /* stamps_made at the fork */
bool heap_inherits;

static bool restamp(struct span *s, uint32_t slot)
{
	heap_make_own(s, slot);
	return true;
}

/* What is ready to be handed out will be a block of this process. Where blocks are recorded these are stamped then: most children of a shell take few and
 * exec, and the slots at hand are a page to be copied for each class. With sample= those that are not recorded are told by nobody, whoever made them. */
void heap_mark_inherited(void)
{
	heap_inherits = true;
	sites_made_none();
	inherited_before = stamps_made;
	heap_advance_stamp();
	if (!sites_on())
		heap_each_cached(restamp);
}

/* The age of a stamp is known up to 62; after as many cycles all count as made here. Altered blocks have no stamp: they count as the parent's. */
bool heap_is_inherited(uint8_t state)
{
	const uint32_t since = stamps_made - inherited_before, age = (arena.stamp + STATE_STAMP - (state & STATE_STAMP)) % STATE_STAMP;
	return heap_inherits && since < STATE_STAMP && (age >= since || !(state & STATE_STAMP));
}

void heap_reap(bool (*exists)(int tid))
{
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next)
		if (c->live && c != self.cache && !exists(c->tid))
			cache_abandon(c);
}

/* Does more than one thread allocate? */
static bool shared_heap(void)
{
	unsigned n = 0;
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next)
		n += c->live;
	return n > 1;
}

void heap_disown(struct span *s)
{
	struct cache *c = load_relaxed(&s->owner);
	if (!c || s->kind != SPAN_SMALL || s->list != LIST_FULL || !shared_heap())
		return;
	span_list_remove(s, c);
	store_relaxed(&s->owner, NULL);
	span_list_abandon(s);
}

bool span_is_ready(const struct span *s) { return load_relaxed(&s->list) == LIST_READY; }

void cache_promote(struct span *s)
{
	lock_take(&caches_lock);
	/* An owner may be moving it meanwhile, from list to list of its own: dormant ones change under the lock only. */
	if (load_relaxed(&s->kind) == SPAN_SMALL && load_relaxed(&s->list) == LIST_DORMANT) {
		span_list_remove(s, NULL);
		span_list_add(s, NULL, LIST_READY);
	}
	lock_drop(&caches_lock);
}

/* The mutant of law 4: the collector builds every alloc list anew, in the other order. */
static void rebuild_lists(void)
{
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next)
		for (unsigned k = 0; k < CLASSES; k++) {
			struct slot *slot = c->bins[k].alloc, *list = NULL;
			for (struct slot *next; slot; slot = next)
				next = slot->next, slot->next = list, list = slot;
			c->bins[k].alloc = list;
		}
}

/* The mutant of law 6: no byte is a block's, so nobody can want the span. Its owner's freed list does. */
static bool looks_empty(const struct span *s)
{
	uint32_t i = 0;
	while (i < s->slots && !state_is_block(s->state[i]))
		i++;
	return i == s->slots;
}

void heap_collect_empty(void)
{
	uint32_t count = span_count();
	bool by_bytes = fault(FAULT_law6_empty_is_unowned);
	if (fault(FAULT_law4_rebuild_list))
		rebuild_lists();
	for (uint32_t i = SPAN_FIRST; i < count; i++) {
		struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL || s->list == LIST_NONE)
			continue;
		uint32_t back = span_absorb(s); /* an idle owner would not look for long */
		cache_publish(-(int64_t)(back * s->block));
		if (heap_recycling_ended()
		    || !(by_bytes ? looks_empty(s) : (back || load_relaxed(&s->recycled) > 0) && span_is_empty(s)))
			continue;
		span_list_remove(s, load_relaxed(&s->owner));
		store_relaxed(&s->owner, NULL);
		s->next = released;
		released = i;
	}
}

void heap_release_empty(void)
{
	busy_enter();
	while (released) {
		struct span *s = &arena.spans[released];
		released = s->next;
		span_release(s);
	}
	busy_leave();
}

/* ---- fork ---- */

/* A thread that fork cut off inside a slow path left its lists, and its spans' free lists and counts, as they were at some
 * instruction. They are dropped: the slots on them are found by cycles or lost, and its spans never count as empty again. */
static void forget_torn(struct cache *c)
{
	for (unsigned k = 0; k < CLASSES; k++)
		c->bins[k] = (struct bin){ 0 };
	memset(c->stash, 0, sizeof c->stash);
	c->delay = NULL;
	uint32_t count = span_count();
	for (uint32_t i = SPAN_FIRST; i < count; i++) {
		struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL || s->owner != c)
			continue;
		span_forget_free(s);
		s->remote = NULL;
		s->out = NEVER_EMPTY;
		s->owner = NULL;
		s->list = LIST_NONE;
	}
}

/* A span without an owner in no list: it was in somebody's hand, perhaps on its way into the page map or out of it (a block of it
 * would be nobody's), perhaps with some of its recycled bytes cleared already (a count too high would be swept for for ever). */
static void mend(struct span *s)
{
	int32_t recycled = 0;
	for (uint32_t i = 0; i < s->slots; i++)
		recycled += s->state[i] == STATE_RECYCLED;
	s->recycled = recycled;
	arena_publish(s);
}

/* Was the owner of c, which is gone, inside a slow path? Its TLS may be unmapped: then nobody knows. */
static bool was_busy(const struct cache *c)
{
	uint32_t busy;
	return !c->self || os_read_self(&busy, (uintptr_t)&c->self->busy, sizeof busy) != (long)sizeof busy || busy;
}

void cache_fork_child(void)
{
	released = 0;
	cache_idle_fork_child();
	if (self.cache != &empty_cache) {
		self.cache->tid = os_tid();
		self.cache->young = CLASSES;
	}
	if (os_single_threaded() && (!cache_all || (cache_all == self.cache && !cache_all->next))) /* nobody was cut off: no descriptor need be touched */
		return;
	for (struct cache *c = cache_all; c; c = c->next)
		if (c->inbox)
			c->inbox = 0;
	for (struct cache *c = cache_all; c; c = c->next) {
		const bool lent = cache_is_torn(c);
		if (!lent && (!c->live || c == self.cache || !was_busy(c)))
			continue;
		forget_torn(c);
		if (c != self.cache) {
			store_relaxed(&c->live, false);
			store_relaxed(&c->self, NULL);
		}
	}
	/* Abandoned lists anew: a span that a torn thread was moving may stand in none, or in two. */
	memset(cache_ready, 0, sizeof cache_ready);
	memset(cache_dormant, 0, sizeof cache_dormant);
	uint32_t count = span_count();
	for (uint32_t i = SPAN_FIRST; i < count; i++) {
		struct span *s = &arena.spans[i];
		if (s->queued) /* most of their pages stay the parent's */
			s->queued = 0;
		if (s->kind != SPAN_SMALL || s->owner)
			continue;
		if (s->list == LIST_NONE)
			mend(s);
		span_list_abandon(s);
	}
	for (struct cache *c = cache_all; c; c = c->next)
		if (c->live && c != self.cache)
			cache_abandon(c);
}

/* ---- purge ---- */

/* Under caches_lock: s is abandoned. */
static void reclaim(struct span *s)
{
	heap_account(-(int64_t)(span_absorb(s) * s->block));
	if (span_is_empty(s)) {
		span_list_remove(s, NULL);
		span_release(s);
	}
}

void cache_reclaim_span(struct span *s)
{
	lock_take(&caches_lock);
	if (load_relaxed(&s->kind) == SPAN_SMALL && (s->list == LIST_READY || s->list == LIST_DORMANT))
		reclaim(s);
	lock_drop(&caches_lock);
}

/* Abandoned spans that others emptied since go back to the arena. */
void cache_reclaim(void)
{
	lock_take(&caches_lock);
	for (unsigned k = 0; k < CLASSES; k++)
		for (int pass = 0; pass < 2; pass++)
			for (uint32_t i = pass ? cache_dormant[k] : cache_ready[k], next; i; i = next) {
				struct span *s = &arena.spans[i];
				next = s->next;
				reclaim(s);
			}
	lock_drop(&caches_lock);
}
