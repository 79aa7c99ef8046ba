/*
 * Blocks that may fault. A program may mprotect pages inside its own blocks, map a file over them or unmap them; reading
 * such a block plainly would kill the program with the collector's fault. src/roots sees in /proc/self/maps which parts of the
 * arena are no longer plain read/write memory and tells them here; the marker then copies those blocks without faulting:
 *
 * 1. os_read_self, calm: /proc/self/mem ignores protection and keys, and never waits for a thread that serves faults.
 * 2. Where mem can't be opened (after setuid) it obeys protection. Memory of devices is always read so: what is no memory is refused, while mem
 *    would load registers. Secret memory is loaded by the one who asks.
 * 3. A page that can't be read has no content (a hole, a truncated file, a guard region whose installation dropped the page, a missing page):
 *    nobody can load a pointer from it, and if it comes back it comes back as zeros or as file content. It reads as zero.
 *    Of protected memory this is so only where reads are known to ignore protection, which is proved on a page of our own; of a file in memory
 *    only where the file has no page there (a fault on one that it has may be served by userfaultfd, too). Else the mark is incomplete.
 *
 * The table holds RANGES ranges; more are covered by widening the last one, which costs time, never correctness.
 */
#include "mark/inside.h"
#include "os/os.h"

#include <errno.h>

enum { RANGES = 64 };

static STEADY struct wide ranges[RANGES];
static unsigned count;
static uintptr_t feared[16];  /* pages whose loads faulted, at any time; one after the other is overwritten */
static unsigned fears;
static uintptr_t hull_low, hull_high;
static bool asked, proven;   /* that protected pages can be read */
LARGE uint8_t doubtful_bounce[PIECE] __attribute__((aligned(64)));

void doubtful_begin(void)
{
	count = 0;
	hull_low = UINTPTR_MAX;
	hull_high = 0;
	asked = proven = false;
	os_calm_begin();
	for (unsigned i = 0; i < NELEM(feared) && i < fears; i++)
		if (arena_contains(feared[i]))
			mark_doubtful(feared[i], feared[i] + OS_PAGE);
}

void mark_fear(uintptr_t at) { feared[fears++ % NELEM(feared)] = align_down(at, OS_PAGE); }

bool mark_feared(uintptr_t low, uintptr_t high)
{
	for (unsigned i = 0; i < NELEM(feared) && i < fears; i++)
		if (feared[i] < high && low < feared[i] + OS_PAGE)
			return true;
	return false;
}

void doubtful_end(void)
{
	os_calm_end();
}

void mark_doubtful(uintptr_t low, uintptr_t high)
{
	if (low >= high)
		return;
	marker.odd = true;
	hull_low = low < hull_low ? low : hull_low;
	hull_high = high > hull_high ? high : hull_high;
	if (count && (count == RANGES || (low <= ranges[count - 1].high && low >= ranges[count - 1].low))) {
		struct wide *last = &ranges[count - 1];
		last->low = low < last->low ? low : last->low;
		last->high = high > last->high ? high : last->high;
		return;
	}
	ranges[count++] = (struct wide){ low, high };
}

bool doubtful_overlaps(uintptr_t low, uintptr_t high)
{
	if (high <= hull_low || low >= hull_high)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (low < ranges[i].high && ranges[i].low < high)
			return true;
	return false;
}

/* Is protection ignored? A page of our own tells. */
static bool proves(void)
{
	uintptr_t *page, seen = 0;
	if (asked || !(page = os_map(OS_PAGE)))
		return proven;
	asked = true;
	page[0] = (uintptr_t)page;
	proven = os_guard(page, OS_PAGE) && os_read_self(&seen, (uintptr_t)page, sizeof seen) == (long)sizeof seen && seen == (uintptr_t)page;
	os_unmap(page, OS_PAGE);
	return proven;
}

static long copy(uint8_t *to, uintptr_t at, size_t n, enum copy_rule rule)
{
	return rule == COPY_SECRET ? os_copy_secret(to, at, n) : rule == COPY_DEVICE ? os_read_memory(to, at, n) : os_read_self(to, at, n);
}

/* Can it be that a page, which nobody can read now, has content? */
static bool may_hold(uintptr_t at, enum copy_rule rule)
{
	uint8_t resident = 1;
	switch (rule) {
	case COPY_READABLE:
	case COPY_DEVICE:
		return false;
	case COPY_PROTECTED:
		return !proves();
	case COPY_SHARED:
		return os_resident(align_down(at, OS_PAGE), OS_PAGE, &resident) != 0 || resident & 1;
	default:
		return true;
	}
}

/* One page or less. false: unreadable, and that proves nothing about its content. */
static bool read_page(uint8_t *to, uintptr_t at, size_t n, enum copy_rule rule)
{
	const long got = copy(to, at, n, rule);
	if (got == (long)n)
		return true;
	if (got != -EFAULT || may_hold(at, rule))
		return false;
	__builtin_memset(to, 0, n);
	return true;
}

const word_t *doubtful_read(uintptr_t low, uintptr_t high, enum copy_rule rule)
{
	if (copy(doubtful_bounce, low, high - low, rule) == (long)(high - low))
		return (const word_t *)doubtful_bounce;
	for (uintptr_t at = low; at < high;) { /* page by page: a copy stops at the first page it can't read */
		uintptr_t page_end = align_down(at, OS_PAGE) + OS_PAGE, end = page_end < high ? page_end : high;
		if (!read_page(doubtful_bounce + (at - low), at, end - at, rule))
			return NULL;
		at = end;
	}
	return (const word_t *)doubtful_bounce;
}
