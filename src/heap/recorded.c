/*
 * How malloc records without a cost to those who don't.
 *
 * The fast path pops from the alloc list and asks nothing. So a slot that is to be recorded is never on it, but on the stash of its class, a
 * second list of the same kind (bytes allocated, keys in place), which only the slow path pops:
 *
 *   every allocation     refill ──▶ stash                           the alloc list is always empty, every malloc is a slow path
 *   sample=N             refill ──▶ alloc: slots up to the next sample | stash: that slot, and what follows it
 *
 * Sampling is a Poisson process on the bytes that refills hand out, one a thread, with a mean distance of N: a slot covers as many of
 * them as its block has, and is recorded when at least one event falls into it. The distance to the next event is drawn when
 * one was met, as exponential distributions forget. Which slot of a batch is handed out when makes no difference to its chance,
 * 1 - exp(-block/N), and 1 over that is what it stands for (sites_weight).
 *
 * Slots on the way to an alloc list lose the site of the block that had them before: the fast path won't.
 */
#include "heap/recorded.h"
#include "heap/arena.h"
#include "heap/sites.h"
#include "os/os.h"

static double sample_bytes;    /* 0: every allocation is recorded */

bool recorded_each;
void recorded_update(void) { store_relaxed(&recorded_each, sites_on() && !sample_bytes && !cache_stressed()); }

void recorded_start(size_t sample) { sample_bytes = (double)sample; }
size_t sites_sampled(void) { return (size_t)sample_bytes; }

/* -- sampling -- */

/* ln x, x in (0, 1]. */
static double logarithm(double x)
{
	int halved = 0;
	for (; x < 0.5; halved++)
		x *= 2;
	double t = (x - 1) / (x + 1), square = t * t, sum = 0;
	for (int k = 17; k > 0; k -= 2)
		sum = sum * square + 1.0 / k;
	return 2 * t * sum - halved * 0.69314718055994530942;
}

/* Bytes to the next event, at least 1. */
static int64_t draw(struct cache *c)
{
	uint64_t x = c->sample_seed;
	if (!x) {
		os_random(&x, sizeof x);
		x |= 1;
	}
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	c->sample_seed = x;
	double uniform = ((double)(x * 0x2545F4914F6CDD1Dull >> 11) + 0.5) / 9007199254740992.0;
	return (int64_t)(-logarithm(uniform) * sample_bytes) + 1;
}

double sites_weight(uint64_t block)
{
	if (!sample_bytes)
		return 1;
	/* q(x) = 1 - exp(-x) near 0 by its series, then q(2x) = q(x) (2 - q(x)). */
	double x = (double)block / sample_bytes;
	int doublings = 0;
	for (; x > 0.001; doublings++)
		x /= 2;
	double q = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4)));
	for (; doublings; doublings--)
		q *= 2 - q;
	return 1 / q;
}

/* The stash of class k, of which no slot was looked at: slots before the next event go to the alloc list, which is empty. Neighbours on a list
 * are of one span as a rule, and few spans have a table. */
static void split(struct cache *c, unsigned k)
{
	int64_t block = (int64_t)class_info[k].block, left = c->sample_left;
	struct slot *list = c->stash[k], *first = list, **end = &first;
	const struct span *s = NULL;
	uintptr_t start = 0, length = 0;
	uint32_t *table = NULL;
	if (!sample_bytes || !list)
		return;
	if (!left)
		left = draw(c);
	for (; list && arena_contains((uintptr_t)list) && left > block; list = list->next) { /* a stale store may have changed a link */
		left -= block;
		end = &list->next;
		if (UNLIKELY((uintptr_t)list - start >= length)) {
			s = arena_span((uintptr_t)list);
			start = s->start;
			length = s->slots * s->block;
			table = load_acquire(&s->sites);
		}
		if (table)
			store_relaxed(sites_word(s, table, span_slot(s, (uintptr_t)list)), 0);
	}
	c->sample_left = list ? draw(c) : left;
	c->stash[k] = list;
	*end = NULL;
	c->bins[k].alloc = first;
}

bool recorded_large(struct cache *c, uint64_t bytes)
{
	if (!sample_bytes)
		return true;
	if (!c)
		return false;
	if (!c->sample_left)
		c->sample_left = draw(c);
	if (bytes < (uint64_t)c->sample_left) {
		c->sample_left -= (int64_t)bytes;
		return false;
	}
	c->sample_left = draw(c);
	return true;
}

/* -- the stash -- */

void recorded_begin(void)
{
	recorded_update();
	busy_enter();
	struct cache *c = cache_own();
	for (unsigned k = 0; c && k < CLASSES; k++) {
		struct slot *list = c->bins[k].alloc;
		c->bins[k].alloc = NULL;
		c->stash[k] = list;
		split(c, k);
	}
	busy_leave();
}

void *recorded_take(struct cache *c, unsigned k, bool *zero, bool *record)
{
	struct bin *b = &c->bins[k];
	cache_stress(c);
	if (!cache_at_hand(c, k)) {
		if (!cache_refill(c, k))
			return NULL;
		struct slot *list = b->alloc;
		b->alloc = NULL;
		c->stash[k] = list;
		split(c, k);
	}
	*record = !b->alloc;
	if (b->alloc)
		return cache_pop(k, zero);
	void *p = recorded_pop(c, k, zero);
	split(c, k);
	return p;
}
