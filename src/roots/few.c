/*
 * Some roots, for a question that a few answer: the stack of the calling thread, which is the only one there is, and the data of modules, as long
 * as that is little. What they reach is reachable; what they do not reach may be.
 *
 * No list of mappings is read. The kernel is asked which pages were written (looking at another would make it, by a page fault), and for the
 * mappings of these and of the heap, one by one: a page that the program has protected, or mapped something over, would be a mapping of its own.
 */
#include "heap/heap.h"
#include "heap/self.h"
#include "base/options.h"
#include "mark/mark.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/roots.h"

#include <fcntl.h>

enum { MAPPINGS_MOST = 8, RUNS = 16, BYTES_MOST = 4 << 20 };

static int maps = -1, pagemap = -1;
static size_t left; /* bytes that may still be scanned */

static bool plain(const struct os_mapping *m) { return m->readable && m->writable && !m->executable && !m->shared; }

/* All of the heap can be read by plain loads. In more mappings than we made some of it may be missing, for userfaultfd to serve; children of fork have
 * several, and inherit no such service. */
static bool heap_is_plain(void)
{
	const unsigned most = heap_inherits ? MAPPINGS_MOST : 1;
	const uintptr_t end = arena.base + load_acquire(&arena.limit);
	struct os_mapping m;
	uintptr_t at = arena.base;
	for (unsigned i = 0; at < end; at = m.high)
		if (i++ == most || !os_mapping(maps, at, &m) || !plain(&m) || m.inode)
			return false;
	return true;
}

bool roots_few_begin(void)
{
	if (options.lsan.no_globals || options.lsan.no_stacks || options.lsan.no_registers || options.lsan.no_tls || options.roots == ROOTS_SEGMENTS)
		return false;
	maps = os_open("/proc/self/maps", O_RDONLY, 0);
	pagemap = os_open("/proc/self/pagemap", O_RDONLY, 0);
	if (maps >= 0 && pagemap >= 0 && heap_is_plain())
		return true;
	roots_few_end();
	return false;
}

void roots_few_end(void)
{
	if (maps >= 0)
		os_close(maps);
	if (pagemap >= 0)
		os_close(pagemap);
	maps = pagemap = -1;
}

static void mark_plain(uintptr_t low, uintptr_t high, bool on_stack)
{
	struct os_mapping m;
	for (; low < high && os_mapping(maps, low, &m); low = m.high) {
		const uintptr_t end = m.high < high ? m.high : high;
		if (!plain(&m) || end - low > left)
			continue;
		left -= end - low;
		mark_range(low, end, on_stack);
	}
}

/* The pages of [low, high) that were written, as far as there is room. */
static void mark_written(uintptr_t low, uintptr_t high, bool on_stack)
{
	struct os_run runs[RUNS];
	uintptr_t walked;
	const long n = os_page_runs(pagemap, align_down(low, OS_PAGE), align_up(high, OS_PAGE), runs, RUNS, &walked);
	for (long i = 0; i < n; i++)
		mark_plain(runs[i].low > low ? runs[i].low : low, runs[i].high < high ? runs[i].high : high, on_stack);
}

static bool first, wanted_first; /* the program's own data come first */
static void mark_segment(uintptr_t low, uintptr_t high)
{
	if (first == wanted_first)
		mark_written(low, high, false);
	first = false;
}
static void mark_segments(bool of_program)
{
	first = true;
	wanted_first = of_program;
	segments_each(mark_segment);
}

void roots_few_mark(uintptr_t stack_from)
{
	left = BYTES_MOST;
	if (stack_from - self.stack_low < self.stack_high - self.stack_low)
		mark_written(align_up(stack_from, 8), self.stack_high, true);
	mark_segments(true);
}

void roots_few_mark_more(void) { mark_segments(false); }
