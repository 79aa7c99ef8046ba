/*
 * Spans of equal slots: handing out, taking back, remote frees, emptiness.
 *
 * Where a slot can be, and its byte:
 *
 *   never handed out   index >= virgin        0
 *   s->free            received back          0
 *   s->remote          freed by others        0      counted in `out` until absorbed
 *   recycled           judged dead            0x01   counted in `out` and in `recycled`
 *   out                alloc list or block    >= 0x40, or 0 for an instant inside free
 *
 * The span is empty when out == recycled. Bytes never tell: a remote free may stand between its byte and its push.
 */
#include "heap/arena.h"
#include "heap/cache_slow.h"
#include "heap/harden.h"
#include "heap/hooks.h"
#include "heap/sites.h"
#include "base/fault.h"
#include "os/os.h"

#include <string.h>

struct state_box {
	uint8_t *bytes;
	uint32_t *sites;
	struct state_box *next;
	unsigned size;      /* for class_slots */
	uint32_t slots;     /* bytes */
	uint16_t *bag;      /* harden=1: the free slots, in no order; NULL: they are linked from span.free */
	uint32_t bag_count; /* owner */
};

/*
 * Links between free slots (span.free, span.remote) lie in memory that the program may still write to. Each is stored xor the
 * secret and its own address, and believed only if it leads to a slot of the same span: who overwrites a free block neither learns
 * an address from it nor chooses what malloc returns next.
 */
static struct slot *link_hidden(const struct slot *at, const struct slot *next)
{
	return (struct slot *)((uintptr_t)next ^ arena.key ^ (uintptr_t)at);
}

/* What follows `at` in a list of s. A damaged link ends the list: what hung off it is never handed out again. */
static struct slot *link_next(const struct span *s, const struct slot *at)
{
	struct slot *next = link_hidden(at, at->next);
	bool start = true;
	if (fault(FAULT_no_link_check))
		return next;
	if (UNLIKELY(next && (span_slot_start(s, (uintptr_t)next, &start) >= s->slots || !start))) {
		heap_misuse("was written to after it was freed", "block", at, s->block);
		return NULL;
	}
	return next;
}

/* An entry of a bag: 4096 slots a span at most. */
enum { BAG_SLOT = 0x0FFF, BAG_POISONED = 0x8000 };

static struct state_box *spare[SPAN_SIZES][CLASSES]; /* under box_lock */
static struct lock box_lock = LOCK_INIT(RANK_META);
static bool recycling_ended;

void heap_end_recycling(void) { store_relaxed(&recycling_ended, true); }
bool heap_recycling_ended(void) { return load_relaxed(&recycling_ended); }

/* State bytes for a span of class k, all zero. They outlive the span: a verdict may still look at them (its CAS then finds
 * 0 or the current stamp), which is why free boxes are linked apart from the bytes. */
static struct state_box *box_take(unsigned k, unsigned size)
{
	const uint32_t slots = class_slots(&class_info[k], size);
	lock_take(&box_lock);
	struct state_box *box = spare[size][k];
	if (box)
		spare[size][k] = box->next;
	lock_drop(&box_lock);
	if (box)
		return box;
	box = meta_take(sizeof *box, 16);
	if (!box)
		return NULL;
	box->size = size;
	box->slots = slots;
	box->bytes = meta_take(slots, slots >= CACHE_LINE ? CACHE_LINE : 16);
	return box->bytes ? box : NULL; /* a box without bytes is lost: 16 bytes, once memory is at its end anyway */
}

static void box_drop(unsigned k, struct state_box *box)
{
	lock_take(&box_lock);
	box->next = spare[box->size][k];
	spare[box->size][k] = box;
	lock_drop(&box_lock);
}

void span_fork_child(void) { lock_reset(&box_lock); }

/* Of the first span of a class in a thread's cache, the second, and all others. Where slots are drawn by lot there are many to draw from. */
static unsigned size_of_next(const struct bin *b)
{
	const uint32_t last = b->avail ? b->avail : b->full;
	return harden_on() ? SPAN_SIZES - 1 : !last ? 0 : !arena.spans[last].next ? 1 : SPAN_SIZES - 1;
}

struct span *span_fresh(unsigned k, struct cache *c)
{
	const struct class_info *info = &class_info[k];
	const unsigned size = size_of_next(&c->bins[k]);
	const uint32_t slots = class_slots(info, size);
	struct state_box *box = box_take(k, size);
	if (!box)
		return NULL;
	struct span *s = arena_take(info->pages, 1);
	if (!s) {
		box_drop(k, box);
		return NULL;
	}
	s->box = box;
	if (harden_on() && !box->bag)
		box->bag = meta_take(slots * sizeof *box->bag, 16); /* NULL: this span is not hardened */
	if (box->bag) {
		for (uint32_t i = 0; i < slots; i++)
			box->bag[i] = (uint16_t)i;
		box->bag_count = slots;
		s->virgin = slots;
	}
	s->state = box->bytes;
	s->sites = box->sites;
	s->magic = info->magic;
	s->block = info->block;
	s->slots = slots;
	s->class = (uint8_t)k;
	s->exact = info->exact;
	store_release(&s->kind, SPAN_SMALL); /* a child of fork may find the span like this: all above must hold */
	store_relaxed(&s->owner, c);
	arena_publish(s);
	return s;
}

void span_release(struct span *s)
{
	bool recycled = load_relaxed(&s->recycled) != 0;
	unsigned k = s->class;
	struct state_box *box = s->box;
	box->sites = s->sites;
	/* Byte by byte as atomics: the judge of a cycle that began before may still look at one. It acts on condemned bytes only,
	 * and here are none (each would count in `out`). */
	if (recycled)
		for (uint32_t i = 0; i < s->slots; i++)
			store_relaxed(&s->state[i], STATE_FREE);
	store_relaxed(&s->owner, NULL);
	bool untouched = s->virgin == 0 && s->zero;
	arena_give(s, recycled, untouched);
	box_drop(k, box);
}

/* Evidence came in for the site of recycled slot i: it may be somebody's block after all, and is one again. */
static bool revive_immortal(struct span *s, uint32_t i)
{
	uint8_t seen = STATE_RECYCLED;
	if (!sites_immortal(sites_of(s, i)) || !cas(&s->state[i], &seen, STATE_ALLOCATED | arena.stamp))
		return false;
	__atomic_fetch_sub(&s->recycled, 1, __ATOMIC_RELAXED);
	cache_publish((int64_t)s->block);
	return true;
}

/* acquire: pairs with heap_recycle's count, which follows its last touch of the slot's byte. */
bool span_is_empty(struct span *s)
{
	/* Once evidence came in, a recycled slot may be somebody's block after all. */
	uint32_t recycled = heap_recycling_ended() ? 0 : (uint32_t)load_acquire(&s->recycled);
	if (LIKELY(load_relaxed(&s->out) != recycled || !recycled || !sites_any_immortal()))
		return load_relaxed(&s->out) == recycled;
	for (uint32_t i = 0; i < s->slots; i++)
		if (load_relaxed(&s->state[i]) == STATE_RECYCLED && revive_immortal(s, i))
			return false;
	return true;
}

bool span_has_slots(const struct span *s)
{
	return s->free || s->virgin < s->slots || (s->box->bag && s->box->bag_count)
	       || (__atomic_load_n(&s->recycled, __ATOMIC_SEQ_CST) > 0 /* see span_notify */ && !heap_recycling_ended());
}

/* The next recycled slot from sweep_at on, made allocated: the only way out of STATE_RECYCLED. NULL: none left. */
static struct slot *sweep(struct span *s, uint8_t allocated)
{
	for (uint32_t tried = 0; tried < s->slots; tried++) {
		uint32_t i = s->sweep_at;
		s->sweep_at = i + 1 < s->slots ? i + 1 : 0;
		uint8_t seen = load_relaxed(&s->state[i]);
		if (fault(FAULT_law1_sweep_free) && seen == STATE_FREE && i < s->virgin)
			seen = STATE_RECYCLED, store_relaxed(&s->state[i], STATE_RECYCLED); /* the mutant: collects free bytes too */
		if (seen == STATE_RECYCLED && UNLIKELY(sites_any_immortal()) && revive_immortal(s, i))
			continue;
		if (seen == STATE_RECYCLED && cas(&s->state[i], &seen, allocated)) {
			__atomic_fetch_sub(&s->recycled, 1, __ATOMIC_RELAXED);
			return (struct slot *)span_address(s, i);
		}
	}
	return NULL;
}

/* Any of the slots in the bag, with equal chances. One that was poisoned must be so still. */
static struct slot *draw(struct span *s)
{
	struct state_box *box = s->box;
	uint32_t i = harden_random(box->bag_count);
	uint16_t drawn = box->bag[i];
	box->bag[i] = box->bag[--box->bag_count];
	struct slot *slot = (struct slot *)span_address(s, drawn & BAG_SLOT);
	if (UNLIKELY(drawn & BAG_POISONED ? !harden_intact(slot, s->block) : s->zero && !harden_blank(slot, s->block)))
		heap_misuse("was written to after it was freed", "block", slot, s->block);
	return slot;
}

struct slot *span_hand_out(struct span *s, uint32_t n, uint32_t *got)
{
	uint8_t allocated = STATE_ALLOCATED | arena.stamp;
	struct slot *list = NULL, **tail = &list;
	uint32_t taken = 0, swept = 0;
	for (; taken < n && (s->free || (s->box->bag && s->box->bag_count)); taken++) {
		struct slot *slot = s->free ? s->free : draw(s);
		if (s->free)
			s->free = link_next(s, slot);
		uint8_t *byte = &s->state[span_slot(s, (uintptr_t)slot)];
		store_relaxed(byte, allocated);
		slot->key = slot_key(byte);
		*tail = slot;
		tail = &slot->next;
	}
	if (!heap_recycling_ended())
		while (taken + swept < n && load_relaxed(&s->recycled) > 0) {
			struct slot *slot = sweep(s, allocated);
			if (!slot)
				break;
			slot->key = slot_key(&s->state[span_slot(s, (uintptr_t)slot)]);
			*tail = slot;
			tail = &slot->next;
			swept++;
		}
	uintptr_t zero = (uintptr_t)s->zero << KEY_ZERO_BIT;
	for (; taken + swept < n && s->virgin < s->slots; taken++) {
		struct slot *slot = (struct slot *)span_address(s, s->virgin);
		uint8_t *byte = &s->state[s->virgin++];
		store_relaxed(byte, allocated);
		slot->key = slot_key(byte) ^ zero;
		*tail = slot;
		tail = &slot->next;
	}
	*tail = NULL;
	store_relaxed(&s->out, s->out + taken); /* recycled slots never left `out` */
	*got = taken + swept;
	return list;
}

void span_take_back(struct span *s, struct slot *slot)
{
	struct state_box *box = s->box;
	if (box->bag) {
		box->bag[box->bag_count++] = (uint16_t)(span_slot(s, (uintptr_t)slot) | BAG_POISONED);
	} else {
		slot->next = link_hidden(slot, s->free);
		s->free = slot;
	}
	store_relaxed(&s->out, s->out - 1);
}

uint8_t *span_state_bytes(const struct span *s) { return s->box->bytes; }

uint8_t *span_peek_bytes(const struct span *s, uint32_t *slots)
{
	const struct state_box *box = load_relaxed(&s->box);
	*slots = box ? box->slots : 0;
	return box ? box->bytes : NULL;
}

void span_forget_free(struct span *s)
{
	s->free = NULL;
	s->box->bag_count = 0;
}

uint32_t span_absorb(struct span *s)
{
	if (!__atomic_load_n(&s->remote, __ATOMIC_SEQ_CST)) /* after the owner or the flag was written: see span_notify */
		return 0;
	struct slot *slot = __atomic_exchange_n(&s->remote, NULL, __ATOMIC_ACQUIRE); /* pairs with span_push_remote */
	uint32_t n = 0;
	for (struct slot *next; slot; slot = next, n++) {
		next = link_next(s, slot);
		if (s->box->bag)
			slot->next = (struct slot *)HARDEN_WORD; /* where the link was; the rest is poison already */
		span_take_back(s, slot);
	}
	return n;
}

/* Slots came to s (a remote push, a verdict): its owner shall look, or adopters if it has none.
 *
 * Three words decide, all sequentially consistent. The slot was there before `owner` is read, and whoever becomes owner, or gives
 * the span up, looks for slots after writing `owner`: one of the two sees the other. The owner clears `queued` before it looks,
 * so a set flag means that it will. But only an owner will: the note may lie in the inbox of a former one, which may never look
 * there again, so `queued` says nothing about an abandoned span. And a flag that was set for an owner who left meanwhile may
 * have kept others from telling the next one: hence the loop. */
void span_notify(struct span *s)
{
	while (__atomic_load_n(&s->owner, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&s->queued, __ATOMIC_SEQ_CST) || __atomic_exchange_n(&s->queued, 1, __ATOMIC_SEQ_CST))
			return;
		struct cache *owner = __atomic_load_n(&s->owner, __ATOMIC_SEQ_CST);
		if (owner) {
			uint32_t head = load_relaxed(&owner->inbox);
			do
				s->inbox_next = head;
			while (!__atomic_compare_exchange_n(&owner->inbox, &head, s->index, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
			return;
		}
		__atomic_store_n(&s->queued, 0, __ATOMIC_SEQ_CST);
	}
	if (!span_is_ready(s))
		cache_promote(s);
}

void span_push_remote(struct span *s, struct slot *slot)
{
	struct slot *head = load_relaxed(&s->remote);
	do
		slot->next = link_hidden(slot, head);
	while (!__atomic_compare_exchange_n(&s->remote, &head, slot, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	span_notify(s);
}

/* ---- verdicts ---- */

bool heap_condemn(uint8_t *state)
{
	uint8_t seen = load_relaxed(state), stamp = arena.stamp;
	if (fault(FAULT_law7_blind_verdict)) { /* the mutant: a store, whatever became of the slot since the stop */
		store_relaxed(state, STATE_CONDEMNED | stamp);
		return true;
	}
	return state_is_allocated(seen) && (seen & STATE_STAMP) != stamp && cas(state, &seen, STATE_CONDEMNED | stamp);
}

/* A block that was never touched as a whole may be larger than memory. */
static void fill_large(struct span *s)
{
	enum { FILL_MOST = 64 << 20 };
	if (s->block <= FILL_MOST || !os_purge(s->start, align_down(s->block, OS_PAGE)))
		memset((void *)s->start, HARDEN_POISON, s->block);
}

bool heap_recycle(struct span *s, uint32_t slot, uint8_t *state, bool fill)
{
	uint8_t seen = load_relaxed(state);
	bool done = false;
	if (!state_is_condemned(seen) || heap_recycling_ended())
		return false;
	busy_enter();
	if (s->kind == SPAN_LARGE) {
		if (cas(state, &seen, STATE_FILLING)) {
			if (fill)
				fill_large(s);
			store_release(state, STATE_FREE);
			large_free(s, true);
			done = true;
		}
	} else if (cas(state, &seen, fill ? STATE_FILLING : STATE_RECYCLED)) {
		/* FILLING belongs to this thread alone: sweep and free leave it. */
		if (fill) {
			memset((void *)span_address(s, slot), HARDEN_POISON, s->block);
			store_release(state, STATE_RECYCLED);
		}
		heap_account(-(int64_t)s->block);
		__atomic_fetch_add(&s->recycled, 1, __ATOMIC_SEQ_CST);
		span_notify(s);
		done = true;
	}
	busy_leave();
	return done;
}
