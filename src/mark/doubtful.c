/*
 * Blocks that may fault. A program may mprotect pages inside its own blocks, map a file over them or unmap them; reading
 * such a block plainly would kill the program with the collector's fault. src/roots sees in /proc/self/maps which parts of the
 * arena are no longer plain read/write memory and tells them here; the marker then copies those blocks without faulting:
 *
 * 1. process_vm_readv on ourselves copies what is readable by protection;
 * 2. what it refuses is read through /proc/self/mem, which ignores protection;
 * 3. a page that both refuse has no content (a hole, a truncated file, a guard region whose installation dropped the page):
 *    nobody can load a pointer from it, and if it comes back it comes back as zeros or as file content. It reads as zero.
 *    This inference is allowed only when /proc/self/mem is known to ignore protection, which doubtful_read proves on a page of
 *    its own; without that proof the mark is incomplete. Of readable memory the first refusal says it already.
 *
 * The table holds RANGES ranges; more are covered by widening the last one, which costs time, never correctness.
 */
#include "mark/inside.h"
#include "os/os.h"

#include <errno.h>

enum { RANGES = 64 };

static STEADY struct wide ranges[RANGES];
static unsigned count;
static uintptr_t hull_low, hull_high;
static int mem_fd = -1; /* of this mark only: an inherited one would show the parent after fork */
static bool mem_proven;
LARGE uint8_t doubtful_bounce[PIECE] __attribute__((aligned(64)));

void doubtful_begin(void)
{
	count = 0;
	hull_low = UINTPTR_MAX;
	hull_high = 0;
	mem_fd = -1;
	mem_proven = false;
}

void doubtful_end(void)
{
	if (mem_fd >= 0)
		os_close(mem_fd);
	mem_fd = -1;
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

/* Opens /proc/self/mem and reads a protected page of our own through it. */
static bool mem_ready(void)
{
	if (mem_fd >= 0)
		return mem_proven;
	mem_fd = os_open_proc("mem");
	if (mem_fd < 0)
		return false;
	uintptr_t *page = os_map(OS_PAGE), seen = 0;
	if (page) {
		page[0] = (uintptr_t)page;
		mem_proven = os_guard(page, OS_PAGE) && os_pread(mem_fd, &seen, sizeof seen, (uintptr_t)page) == (long)sizeof seen && seen == (uintptr_t)page;
		os_unmap(page, OS_PAGE);
	}
	return mem_proven;
}

/* One page or less. false: unreadable, and that proves nothing about its content. */
static bool read_page(uint8_t *to, uintptr_t at, size_t n, enum copy_rule rule)
{
	long got = os_read_self(to, at, n);
	if (got == (long)n)
		return true;
	if (rule == COPY_READABLE && got == -EFAULT) {
		__builtin_memset(to, 0, n);
		return true;
	}
	if (!mem_ready())
		return false;
	got = os_pread(mem_fd, to, n, at);
	if (got == (long)n)
		return true;
	if (got != -EIO) /* the kernel's word for a page that cannot be had (mem_rw); any other (ENOMEM) says nothing about it */
		return false;
	__builtin_memset(to, 0, n);
	return rule != COPY_WHOLE;
}

const word_t *doubtful_read(uintptr_t low, uintptr_t high, enum copy_rule rule)
{
	if (os_read_self(doubtful_bounce, low, high - low) == (long)(high - low))
		return (const word_t *)doubtful_bounce;
	for (uintptr_t at = low; at < high;) { /* page by page: a copy stops at the first page it can't read */
		uintptr_t page_end = align_down(at, OS_PAGE) + OS_PAGE, end = page_end < high ? page_end : high;
		if (!read_page(doubtful_bounce + (at - low), at, end - at, rule))
			return NULL;
		at = end;
	}
	return (const word_t *)doubtful_bounce;
}
