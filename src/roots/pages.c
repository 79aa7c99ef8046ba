/*
 * Which pages of a mapping have contents that the program wrote. Three sources, the best that works is taken at the
 * beginning of each cycle, after it has shown a page of our own correctly (emulators answer zeros; after setuid all
 * of /proc/self but maps and smaps is refused; an inherited descriptor would show the parent, so each is opened anew):
 *
 *   PAGES_SCAN      the PAGEMAP_SCAN ioctl (Linux 6.7): runs of pages, filtered in the kernel;
 *   PAGES_PAGEMAP   /proc/self/pagemap: 8 bytes a page; 63 present, 62 swapped, 61 file page or shared;
 *   PAGES_SMAPS     amounts per mapping; pages by mincore, or all of them when some of the mapping is in swap.
 *
 * Private mappings: pages copied on write or anonymous. A page of the file itself holds what the file holds.
 *
 * Shared ones: whatever the kernel holds in memory of the file, by mincore. The page tables do not tell: a fork leaves the
 * child's entries of shared mappings out (mm/memory.c, vma_needs_copy), MADV_DONTNEED and khugepaged drop entries and not contents, and
 * a page may be written through another mapping or by write(). Where swap is in use smaps tells whether some of it is
 * there (see each_shared).
 *
 * Guard regions and poisoned pages show as swapped: the caller reads those without faulting, and one that can't be read
 * has no content: installing a guard drops the page, and what comes back when it is removed is zeros.
 */
#include "roots/inside.h"
#include "base/fault.h"
#include "heap/heap.h"
#include "os/os.h"

#include <fcntl.h>

#define PM_PRESENT (1ull << 63)
#define PM_SWAPPED (1ull << 62)
#define PM_FILE (1ull << 61)

enum { REGIONS = 512, ENTRIES = 4096, AHEAD = 64 << 20, VAST = 1 << 30, HUGE = 2 << 20 };

static enum pages_source source;
static int fd = -1;
/* What the ioctl told of [low, high), which holds while the process stands still: libraries lie side by side, and one call tells of many mappings. */
static struct { uintptr_t low, high; uint32_t count, next; } told;
static ANSWER(2) struct os_run regions[REGIONS];
static LARGE union {
	uint64_t entries[ENTRIES];
	uint8_t resident[8 * ENTRIES];
} room;

typedef bool page_fn(const struct mapping *m, uintptr_t low, uintptr_t high, bool present);

/* -- the ioctl -- */

/* Lists at most REGIONS runs of [low, high), and how far that is. */
static bool scan(uintptr_t low, uintptr_t high)
{
	const long n = os_page_runs(fd, low, high, regions, REGIONS, &told.high);
	told.low = low;
	told.count = n < 0 ? 0 : (uint32_t)n;
	told.next = 0;
	return told.high > low; /* else there is no progress */
}

/* The first run that ends above low. Questions rise, as a rule. */
static uint32_t first_above(uintptr_t low)
{
	uint32_t i = told.next && regions[told.next - 1].high <= low ? told.next : 0;
	while (i < told.count && regions[i].high <= low)
		i++;
	return told.next = i;
}

static bool each_by_scan(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	while (low < high) {
		const uintptr_t ahead = align_down(low, AHEAD) + AHEAD;
		const bool asked = low >= told.low && low < told.high;
		if (!asked && !(ahead > high && scan(low, ahead)) && !scan(low, high)) /* `ahead` may lie behind what a process can have */
			return false;
		const uintptr_t end = told.high < high ? told.high : high;
		for (uint32_t i = first_above(low); i < told.count && regions[i].low < end; i++) {
			const struct os_run *r = &regions[i];
			if (!fn(m, r->low > low ? r->low : low, r->high < end ? r->high : end, r->kind & OS_RUN_PRESENT))
				return false;
		}
		low = end;
	}
	return true;
}

/* -- pagemap -- */

static bool holds(uint64_t entry)
{
	return entry & (PM_PRESENT | PM_SWAPPED) && !(entry & PM_FILE);
}

static bool each_by_pagemap(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	while (low < high) {
		size_t pages = (high - low) / OS_PAGE;
		pages = pages < ENTRIES ? pages : ENTRIES;
		if (os_pread(fd, room.entries, pages * 8, low / OS_PAGE * 8) != (long)(pages * 8))
			return false;
		for (size_t i = 0; i < pages;) {
			size_t first = i;
			uint64_t kind = room.entries[i];
			while (i < pages && holds(room.entries[i]) && !((room.entries[i] ^ kind) & PM_PRESENT))
				i++;
			if (i == first)
				i++;
			else if (!fn(m, low + first * OS_PAGE, low + i * OS_PAGE, kind & PM_PRESENT))
				return false;
		}
		low += pages * OS_PAGE;
	}
	return true;
}

/* -- mincore -- */

static bool pass_over(const struct mapping *m, uintptr_t low, uintptr_t high, bool present) { return true; }

static bool each_by_resident(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn, page_fn *absent)
{
	while (low < high) {
		size_t pages = (high - low) / OS_PAGE;
		pages = pages < sizeof room.resident ? pages : sizeof room.resident;
		if (os_resident(low, pages * OS_PAGE, room.resident) < 0)
			return fn(m, low, high, false);
		for (size_t i = 0, first; i < pages;) {
			const uint8_t kind = room.resident[i] & 1;
			for (first = i; i < pages && (room.resident[i] & 1) == kind; i++)
				;
			if (!(kind ? fn : absent)(m, low + first * OS_PAGE, low + i * OS_PAGE, false))
				return false;
		}
		low += pages * OS_PAGE;
	}
	return true;
}

/* -- smaps -- */

static bool each_by_smaps(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	if (!m->held)
		return true;
	if (m->swapped) /* reading what is missing would wait for userfaultfd */
		return !m->watched && fn(m, low, high, false);
	return each_by_resident(m, low, high, fn, pass_over);
}

/*
 * -- shared memory: what its file holds --
 *
 * Where some of it is in swap, mincore calls that absent like holes. Those are told apart by a file descriptor's SEEK_DATA, if one can be had (which takes a
 * privilege), and else by reading through a second mapping of the same pages, where we serve the faults of holes (os_twin_*): they fail there, and are not filled.
 * Huge pages that are set aside are asked for in the same way: of those mincore knows what this process touched, and a child of fork has touched none.
 * Without either a few holes are read, which fills them; of more the cycle can't know (law 8).
 */

enum { ASK_FILE = 64 << 20 /* mincore takes 12 ms a GiB, a descriptor a few microseconds */, PROBES = 1 << 20, FILLS = (64 << 20) / OS_PAGE };
static page_fn *swapped_fn;
static struct os_twin twin;
static uint64_t probed;

bool pages_vast(const struct mapping *m)
{
	return source == PAGES_PAGEMAP && !(m->flags & MAPPING_SHARED) && m->high - m->low >= VAST;
}

bool pages_may_be_huge(const struct mapping *m)
{
	return m->flags & MAPPING_SHARED && m->major == 0 && ((m->low | m->high | m->offset) & (HUGE - 1)) == 0;
}

bool pages_swappable(const struct mapping *m)
{
	return m->flags & MAPPING_SHARED && m->major == 0 && (m->kind == MAPPING_FILE || m->memory);
}

/* Absent, and not known to be a hole. */
static bool probe(const struct mapping *m, uintptr_t low, uintptr_t high, bool present)
{
	probed += (high - low) / OS_PAGE;
	if (!twin.at)
		return !m->huge && probed <= FILLS && swapped_fn(m, low, high, false);
	if (probed > PROBES)
		return false;
	for (uintptr_t first; low < high; low += OS_PAGE) {
		for (first = low; low < high && os_twin_holds(&twin, low - m->low); low += OS_PAGE)
			;
		if (low > first && !swapped_fn(m, first, low, false))
			return false;
	}
	return true;
}

static bool each_by_twin(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	probed = 0;
	swapped_fn = fn;
	os_twin_make(&twin, m->low, m->high - m->low);
	const bool done = each_by_resident(m, low, high, fn, probe);
	os_twin_drop(&twin);
	return done;
}

static bool each_by_file(const struct mapping *m, int file, uintptr_t low, uintptr_t high, page_fn *fn)
{
	const uint64_t end = m->offset + (high - m->low);
	uint64_t from, to = m->offset + (low - m->low);
	while (to < end && os_next_data(file, to, &from, &to)) {
		from = from < end ? align_down(from, OS_PAGE) : end;
		to = to < end ? align_up(to, OS_PAGE) : end;
		if (from < to && !fn(m, m->low + (from - m->offset), m->low + (to - m->offset), false))
			return false;
	}
	return true;
}

static bool each_shared(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	if (m->kind == MAPPING_FILE && (m->swapped || high - low >= ASK_FILE)) {
		const int file = m->major == 0 ? os_open_mapping(m->low, m->high) : -1;
		if (file >= 0) {
			const bool done = each_by_file(m, file, low, high, fn);
			os_close(file);
			return done;
		}
	}
	return m->swapped || m->huge ? each_by_twin(m, low, high, fn) : each_by_resident(m, low, high, fn, pass_over);
}

/* -- choice -- */

/* Does the source show a written page of ours as what it is? */
static bool scan_proves(uintptr_t page)
{
	bool proven = !fault(FAULT_pagemap) && scan(page, page + OS_PAGE) && told.count == 1 && regions[0].low == page;
	told.high = told.low;
	return proven;
}

static bool pagemap_proves(uintptr_t page)
{
	uint64_t entry = 0;
	return os_pread(fd, &entry, 8, page / OS_PAGE * 8) == 8 && holds(entry);
}

enum pages_source pages_begin(void)
{
	volatile uint8_t written = 1; /* so its page surely is */
	uintptr_t page = align_down((uintptr_t)&written, OS_PAGE);
	fd = os_open_proc("pagemap");
	if (fd < 0)
		return source = PAGES_SMAPS;
	if (scan_proves(page))
		return source = PAGES_SCAN;
	if (pagemap_proves(page))
		return source = PAGES_PAGEMAP;
	pages_end();
	return source = PAGES_SMAPS;
}

void pages_end(void)
{
	told.high = told.low = 0;
	if (fd >= 0)
		os_close(fd);
	fd = -1;
}

bool pages_each(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	low = align_down(low, OS_PAGE);
	high = align_up(high, OS_PAGE);
	if (m->flags & MAPPING_SHARED)
		return each_shared(m, low, high, fn);
	switch (source) {
	case PAGES_SCAN:
		return each_by_scan(m, low, high, fn);
	case PAGES_PAGEMAP:
		return !m->held || each_by_pagemap(m, low, high, fn);
	case PAGES_SMAPS:
		return each_by_smaps(m, low, high, fn);
	default:
		return false;
	}
}

bool pages_each_of_file(const struct mapping *m, uintptr_t low, uintptr_t high, page_fn *fn)
{
	return m->flags & MAPPING_SHARED || each_by_resident(m, align_down(low, OS_PAGE), align_up(high, OS_PAGE), fn, pass_over);
}
