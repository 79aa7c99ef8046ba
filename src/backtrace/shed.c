/*
 * Pages of call-frame information leave the process once they are read.
 *
 * Reading a rule touches .eh_frame_hdr and .eh_frame at a few places, and the kernel maps 64 KiB around each: a handful of rules have all
 * of it in memory, half a megabyte of a small program's five. A rule is read once and kept by us, so the pages may go; what is
 * needed again comes back from the file, for a fault.
 *
 *   with sample=, after a capture that read rules: few captures walk at all, and the next is far away
 *   else when a span gets its table of sites, as memory is about to grow, once MANY more rules were read: small children of a shell never get there
 *   when the process ends and before its report: nothing is captured any more, and the report's own memory takes their place
 *
 * The first TIMES of them, then ever more rarely: what is read again is a fault each time, and in a large process it saves nothing that counts.
 *
 * Must hold: only clean pages of a file go, of modules that nobody can unload meanwhile: the program, libc and ourselves. Somebody else's
 * memory may stand where another module was an instant ago.
 */
#include "backtrace/backtrace.h"
#include "backtrace/cfi.h"
#include "backtrace/modules.h"
#include "backtrace/shed.h"
#include "os/os.h"

#include <link.h>
#include <sys/auxv.h>

enum { KEPT = 3, TIMES = 32, MANY = 128, PAGE = 4096 };

/* What was read of a module, all atomic. A lost race leaves a page more in memory. */
static struct part { uintptr_t header, header_size, low, high; } parts[KEPT]; /* low, high: hull of the records; `header` is set last */
static uint32_t rules, gone;       /* atomic: rules that were read, and how many of them before the last time */
static uint32_t times, due = 1;    /* atomic */

static bool stays(const struct cfi_image *m)
{
	const uintptr_t sure[KEPT] = { getauxval(AT_PHDR), (uintptr_t)dl_iterate_phdr, (uintptr_t)&backtrace_shed };
	for (unsigned i = 0; i < KEPT; i++)
		if (sure[i] - m->low < m->high - m->low)
			return true;
	return false;
}

static struct part *part_of(const struct cfi_image *m)
{
	for (unsigned i = 0; i < KEPT; i++) {
		uintptr_t none = 0;
		if (load_acquire(&parts[i].header) == m->header)
			return &parts[i];
		if (load_relaxed(&parts[i].header) || !stays(m))
			continue;
		store_relaxed(&parts[i].header_size, m->header_size);
		if (cas(&parts[i].header, &none, m->header))
			return &parts[i];
	}
	return NULL;
}

void shed_note(const struct cfi_image *m, uintptr_t record)
{
	struct part *p = part_of(m);
	if (!p)
		return;
	if (!load_relaxed(&p->low) || record < load_relaxed(&p->low))
		store_relaxed(&p->low, record);
	if (record > load_relaxed(&p->high))
		store_relaxed(&p->high, record);
	add_relaxed(&rules, 1);
}

/* Whole pages alone: what lies at the ends may be the program's constants. */
static void drop(int pagemap, uintptr_t low, uintptr_t high)
{
	struct os_run dirty;
	uintptr_t walked;
	low = align_up(low, PAGE);
	high = align_down(high, PAGE);
	if (low && low < high && os_page_runs(pagemap, low, high, &dirty, 1, &walked) == 0 && walked >= high)
		os_purge(low, high - low);
}

void backtrace_shed(void)
{
	const uint32_t read = load_relaxed(&rules);
	if (os_is_confined() || read == load_relaxed(&gone))
		return;
	store_relaxed(&gone, read);
	const int pagemap = os_open_proc("pagemap");
	for (unsigned i = 0; i < KEPT && pagemap >= 0; i++) {
		const struct part *p = &parts[i];
		const uintptr_t header = load_acquire(&p->header), header_end = header + load_relaxed(&p->header_size);
		const uintptr_t low = load_relaxed(&p->low), high = load_relaxed(&p->high);
		if (low >= header_end && low - header_end < PAGE) { /* as linkers place them: side by side */
			drop(pagemap, header, high);
		} else if (header) {
			drop(pagemap, header, header_end);
			drop(pagemap, low, high);
		}
	}
	if (pagemap >= 0)
		os_close(pagemap);
}

void backtrace_shed_at_times(bool sampled)
{
	const uint32_t read = load_relaxed(&rules);
	if (LIKELY(read == load_relaxed(&gone)) || (!sampled && read - load_relaxed(&gone) < MANY))
		return;
	const uint32_t n = add_relaxed(&times, 1) + 1;
	if (n < load_relaxed(&due))
		return;
	store_relaxed(&due, n < TIMES ? n + 1 : 2 * n);
	backtrace_shed();
}

/* A child has no page of a file before it touches it. */
void shed_forked(void) { store_relaxed(&gone, load_relaxed(&rules)); }
