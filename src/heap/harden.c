/*
 * harden=1: mistakes with freed memory become visible, and hard to build upon.
 *
 *   free ──▶ poison ──▶ delay (per thread, first in first out) ──▶ bag of the span ──▶ drawn at random, poison checked ──▶ malloc
 *
 * - Poison: the whole block is filled with HARDEN_POISON, so a stale pointer finds no old contents, and no address that it
 *   could follow. What is not poison any more when the slot is drawn was written to after its free: misuse, in one line.
 * - Delay: DELAY_SLOTS slots or DELAY_BYTES of a thread wait, so that a block does not come back at the next malloc of its size.
 * - Bag: the free slots of a span are numbers in metadata (span.c), and malloc takes any of them with equal chances. No link lies
 *   in a free block, but for the moment in which it stands on a remote list, where it is encoded.
 * - Large blocks, and spans that are empty: the contents go back to the system. The pages must read as zero when they are handed out again. DELAY_LARGE
 *   large blocks of up to LARGE_MOST bytes each wait.
 * - Slots of a fresh span are zero until they are drawn.
 *
 * All of it runs in slow paths: batch and room of every class become 1 and 0, so that each malloc and each free takes one. The
 * fast paths know nothing of it.
 *
 * The order of slots is as hard to foresee as xorshift64*, seeded by the kernel: not for one who can watch many addresses.
 */
#include "heap/harden.h"
#include "heap/arena.h"
#include "heap/cache_slow.h"
#include "heap/hooks.h"
#include "heap/veil.h"
#include "base/fault.h"
#include "os/os.h"

#include <string.h>

enum {
	DELAY_SLOTS = 1024,
	DELAY_BYTES = 1 << 20,
	DELAY_LARGE = 16,
	LARGE_MOST = 1 << 20 /* 16 MiB of address space at most */
};

struct delay {
	uint32_t first, count;
	size_t bytes;
	struct slot *at[DELAY_SLOTS];
};

bool harden_flag;
static uint64_t seed;                          /* atomic; a race costs a number drawn twice */
static struct span *large_delay[DELAY_LARGE];  /* atomic */
static uint32_t large_next;                    /* atomic */

void harden_start(void)
{
	heap_start();
	os_random(&seed, sizeof seed);
	seed |= 1;
	for (unsigned k = 0; k < CLASSES; k++) {
		class_info[k].batch = 1;
		class_info[k].room = 0;
		class_info[k].few = 0; /* what was freed is drawn again by blocks of its size */
	}
	store_relaxed(&harden_flag, true);
	busy_enter();
	struct cache *c = cache_own();
	for (unsigned k = 0; c && k < CLASSES; k++) {
		cache_flush(c, k, 0); /* and sets the bins' room */
		c->few[k] = 0;
	}
	busy_leave();
}

uint32_t harden_random(uint32_t below)
{
	uint64_t x = load_relaxed(&seed);
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	store_relaxed(&seed, x);
	return (uint32_t)((x * 0x2545F4914F6CDD1Dull >> 32) * below >> 32);
}

static bool all(const void *p, size_t size, word_t word)
{
	const word_t *w = p;
	for (size_t i = 0; i < size / 8; i++)
		if (w[i] != word)
			return false;
	return true;
}

bool harden_intact(const void *p, size_t size) { return all(p, size, HARDEN_WORD); }
bool harden_blank(const void *p, size_t size) { return all(p, size, 0); }

/* ---- pages ---- */

static bool drop(uintptr_t start, size_t size) { return veil_started() ? os_map_over(start, size) : os_purge(start, size); }

bool harden_pages_given(uintptr_t start, size_t size) { return drop(start, size); }

/* Pages that nobody touched since are not there, and need not be looked at. */
void harden_pages_taken(uintptr_t start, size_t size)
{
	uint8_t there[64];
	bool any = false, told = false;
	if (fault(FAULT_no_blank_check))
		return;
	for (uintptr_t at = start, end = start + size; at < end; at += sizeof there * OS_PAGE) {
		const size_t pages = (end - at) / OS_PAGE < sizeof there ? (end - at) / OS_PAGE : sizeof there;
		const bool known = os_resident(at, pages * OS_PAGE, there) == 0;
		for (size_t i = 0; i < pages; i++) {
			if (known && !(there[i] & 1))
				continue;
			any = true;
			if (UNLIKELY(!told && !harden_blank((const void *)(at + i * OS_PAGE), OS_PAGE))) {
				heap_misuse("was written to after it was freed", "block", (const void *)(at + i * OS_PAGE), 0);
				told = true;
			}
		}
	}
	if (any && !drop(start, size))
		memset((void *)start, 0, size);
}

/* ---- slots ---- */

static void let_go(struct cache *c)
{
	struct delay *d = c->delay;
	struct slot *slot = d->at[d->first];
	d->first = (d->first + 1) % DELAY_SLOTS;
	d->count--;
	d->bytes -= arena_span((uintptr_t)slot)->block;
	cache_give_back(c, slot);
}

void harden_free(struct cache *c, struct slot *slot)
{
	size_t block = arena_span((uintptr_t)slot)->block;
	heap_altstack_leaves((uintptr_t)slot, block);
	memset((void *)slot, HARDEN_POISON, block);
	if (c != &empty_cache && !c->delay)
		c->delay = meta_take(sizeof *c->delay, 16);
	if (c == &empty_cache || !c->delay) { /* the thread's end, or no memory: at once */
		cache_give_back(c, slot);
		return;
	}
	struct delay *d = c->delay;
	while (d->count == DELAY_SLOTS || (d->count && d->bytes + block > DELAY_BYTES))
		let_go(c);
	d->at[(d->first + d->count++) % DELAY_SLOTS] = slot;
	d->bytes += block;
}

void harden_drain(struct cache *c)
{
	while (c->delay && c->delay->count)
		let_go(c);
	for (unsigned i = 0; harden_on() && i < DELAY_LARGE; i++) {
		struct span *s = __atomic_exchange_n(&large_delay[i], NULL, __ATOMIC_ACQ_REL);
		if (s)
			arena_give(s, false, s->zero);
	}
}

/* ---- large blocks ---- */

void harden_free_large(struct span *s)
{
	const size_t bytes = s->pages * (size_t)PAGE;
	const bool zero = drop(s->start, bytes);
	if (!zero) { /* locked in memory */
		memset((void *)s->start, HARDEN_POISON, bytes);
	} else if (bytes > LARGE_MOST) {
		arena_give(s, false, true);
		return;
	}
	uint32_t i = add_relaxed(&large_next, 1) % DELAY_LARGE;
	s->zero = zero;
	s = __atomic_exchange_n(&large_delay[i], s, __ATOMIC_ACQ_REL);
	if (s)
		arena_give(s, false, s->zero);
}
