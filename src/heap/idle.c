/*
 * What threads hold that do nothing: the freed lists of an idle thread, 128 KiB a class, go back to its spans, and spans that are mostly free to
 * whoever needs slots next. By a thread that needs memory: when its malloc is about to fail, in malloc_trim, and each time that the heap has
 * grown by 16 MiB, from bins that are as the last look found them. So all idle threads together keep what 32 MiB of growth left them, and
 * each a batch (8 KiB) and one slot a class. No mode needs a cycle for it.
 *
 * The owner may wake at any instruction, and its fast paths take no lock. So the cache is lent, as if its owner ran a slow path that another thread runs:
 *
 *   owner, busy_enter:   busy = 1      | load lent       lent: wait for lend_lock
 *   looker:              lent = LENT   | load busy       busy: not now
 *
 * One of the two sees the other, if each has a full barrier in its middle. The looker's is one in all threads (os_barrier_everywhere), so the owner
 * needs none. Another barrier later the cache is still that thread's: it was not being abandoned, and won't be before it is given back.
 *
 * What fast paths may do meanwhile: pop the alloc list, so that one is not touched; push on the freed list. A push knows the first slot alone, and a
 * thread may have been interrupted in one for long: the first slot stays, what hangs behind it is nobody's but ours. `room` is
 * counted down by pushes and stays as it is; `taken` says by how much it is wrong, and the owner counts anew when it wakes (TAKEN).
 */
#include "heap/arena.h"
#include "heap/cache_slow.h"
#include "heap/harden.h"
#include "base/fault.h"
#include "base/stats.h"
#include "os/os.h"

enum { HOME, LENT, TAKEN };
enum { LOOK_PAGES = (16 << 20) >> PAGE_SHIFT, LOOK_NS = 20 * 1000000 };

static struct lock lend_lock = LOCK_INIT(RANK_LEND); /* by the looker, while it has a cache */
static uint32_t looking;                             /* atomic: a thread is at it */
static size_t looked_at;                             /* atomic: pages in use at the last look, or fewer since */
static uint64_t looked_ns;                           /* atomic: when that was */
static uint32_t moved;                               /* atomic: spans that threads got since */

/* ---- the owner's side ---- */

static void count_room(struct cache *c)
{
	for (unsigned k = 0; k < CLASSES; k++)
		if (!harden_on())
			c->bins[k].room = (int32_t)(class_info[k].room - cache_count_freed(&c->bins[k]));
	c->taken = 0;
}

void cache_come_home(struct cache *c)
{
	uint32_t lent;
	/* In a child of fork nobody would bring it back: it is torn. */
	while ((lent = load_acquire(&c->lent)) != HOME && !(lent == LENT && heap_is_copy())) {
		if (lent == LENT) {
			lock_take(&lend_lock);
			lock_drop(&lend_lock);
		} else {
			count_room(c);
			cas(&c->lent, &lent, HOME);
		}
	}
}

void cache_idle_fork_child(void)
{
	lock_reset(&lend_lock);
	looking = 0;
}

bool cache_is_torn(struct cache *c)
{
	const bool torn = c->lent == LENT;
	if (torn)
		c->lent = HOME;
	return torn;
}

/* ---- the looker's side ---- */

/* What a bin looked like: any malloc or free of its owner changes it. */
static __attribute__((no_sanitize("thread"))) uint16_t trace(const struct bin *b) /* a peek at what fast paths write plainly */
{
	uint64_t x = (uintptr_t)load_relaxed(&b->alloc) * 3 ^ (uintptr_t)load_relaxed(&b->freed) ^ (uint64_t)load_relaxed(&b->avail) << 40;
	x = (x ^ (uint32_t)load_relaxed(&b->room)) * 0x9E3779B97F4A7C15ull;
	return (uint16_t)(x >> 48);
}

/* Classes of c from which something can be taken; all: also from such as are in use. */
static __attribute__((no_sanitize("thread"))) uint64_t idle_classes(struct cache *c, bool all)
{
	uint64_t idle = 0;
	bool inbox = load_relaxed(&c->inbox), still = true;
	for (unsigned k = 0; k < CLASSES; k++) {
		const struct bin *b = &c->bins[k];
		const uint16_t now = trace(b);
		if (now != c->seen[k]) {
			c->seen[k] = now;
			c->emptied &= ~(1ull << k);
			still = false;
			if (!all)
				continue;
		}
		if (!(c->emptied >> k & 1) && (load_relaxed(&b->freed) || load_relaxed(&b->avail)))
			idle |= 1ull << k;
	}
	return inbox && !idle && (still || all) ? 1ull << CLASSES : idle;
}
_Static_assert(CLASSES < 64, "a class is a bit");

static bool lend(struct cache *c, uint32_t *was)
{
	struct self *owner = load_acquire(&c->self);
	uint32_t busy = 1;
	*was = __atomic_exchange_n(&c->lent, LENT, __ATOMIC_SEQ_CST);
	if (owner && os_barrier_everywhere() && os_read_self(&busy, (uintptr_t)&owner->busy, sizeof busy) == (long)sizeof busy
	    && (!busy || fault(FAULT_law3_lend_busy)) && os_barrier_everywhere() && load_acquire(&c->live) && load_acquire(&c->self) == owner)
		return true;
	store_release(&c->lent, *was);
	return false;
}

/* Spans with slots: empty ones go, mostly empty ones (all: each) become anybody's. */
static void take_spans(struct cache *c, unsigned k, bool all)
{
	lock_take(&caches_lock);
	for (uint32_t i = c->bins[k].avail, next; i; i = next) {
		struct span *s = &arena.spans[i];
		next = s->next;
		const bool empty = span_is_empty(s) && !load_relaxed(&s->remote);
		if (!empty && !all && s->out > s->slots / 2)
			continue;
		span_list_remove(s, c);
		if (empty) {
			span_release(s);
			continue;
		}
		__atomic_store_n(&s->owner, NULL, __ATOMIC_SEQ_CST);
		span_list_abandon(s);
	}
	lock_drop(&caches_lock);
}

static void take_from(struct cache *c, uint64_t classes, bool all)
{
	uint32_t was;
	lock_take(&lend_lock);
	if (lend(c, &was)) {
		cache_inbox_drain(c);
		for (unsigned k = 0; k < CLASSES; k++)
			if (classes >> k & 1) {
				c->taken += cache_take_freed(c, k) * class_info[k].block;
				take_spans(c, k, all);
				c->seen[k] = trace(&c->bins[k]);
				c->emptied |= 1ull << k;
			}
		cache_publish(c->growth);
		c->growth = 0;
		stats_add(&stats.lent_caches, 1);
		store_release(&c->lent, TAKEN);
	}
	lock_drop(&lend_lock);
}

void cache_take_idle(bool all)
{
	uint32_t none = 0;
	if (harden_on() || !cas(&looking, &none, 1))
		return;
	for (struct cache *c = load_acquire(&cache_all); c; c = c->next) {
		uint64_t classes = c != self.cache && load_relaxed(&c->live) ? idle_classes(c, all) : 0;
		if (classes)
			take_from(c, classes, all);
	}
	if (!all) /* else the caller does */
		cache_reclaim();
	store_relaxed(&moved, 0);
	store_relaxed(&looked_ns, os_coarse_ns());
	store_relaxed(&looked_at, arena_pages_used());
	store_release(&looking, 0);
}

/* Spans that were abandoned serve again without a growth of the heap: so many of them call for a look too, but seldom. */
void cache_look_at_idle(void)
{
	const size_t used = arena_pages_used(), last = load_relaxed(&looked_at);
	if (used < last)
		store_relaxed(&looked_at, used);
	const bool churn = __atomic_add_fetch(&moved, 1, __ATOMIC_RELAXED) >= LOOK_PAGES && os_coarse_ns() - load_relaxed(&looked_ns) >= LOOK_NS;
	if (UNLIKELY(churn || (used > last && used - last >= LOOK_PAGES)))
		cache_take_idle(false);
}
