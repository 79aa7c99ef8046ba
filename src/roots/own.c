/*
 * What must not be scanned: cgc's own memory, as others tell it. Ranges that stay (the collector's stack, own data) are entered before the first
 * cycle, those that go again (a report's arrays) at any time, by any thread: no lock, because a handler may do it.
 */
#include "roots/inside.h"

enum { OWN = 256, LENT = 64 };

static struct range own[OWN];   /* grows only */
static unsigned own_count;      /* atomic: released after the entry */
static struct range lent[LENT]; /* atomic: claimed by `low`, valid while `high` is not 0 */

void roots_exclude(uintptr_t low, uintptr_t high)
{
	unsigned n = add_relaxed(&own_count, 1);
	if (n < OWN)
		own[n] = (struct range){ low, high };
	/* A full table only costs time: what is not left out is scanned. */
}

int roots_exclude_for_now(uintptr_t low, uintptr_t high)
{
	for (int i = 0; i < LENT; i++) {
		uintptr_t nobody = 0;
		if (!load_relaxed(&lent[i].low) && cas(&lent[i].low, &nobody, low)) {
			store_release(&lent[i].high, high);
			return i;
		}
	}
	return -1;
}

void roots_include(int handle)
{
	if (handle < 0)
		return;
	store_relaxed(&lent[handle].high, 0);
	store_release(&lent[handle].low, 0);
}

void own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	unsigned known = load_acquire(&own_count);
	for (unsigned i = 0; i < known && i < OWN; i++)
		fn(own[i].low, own[i].high);
	for (unsigned i = 0; i < LENT; i++)
		if (load_acquire(&lent[i].high))
			fn(lent[i].low, lent[i].high);
}
