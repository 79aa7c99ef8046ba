/*
 * Root regions that the program declares: cgc_add_root and LeakSanitizer's interface.
 *
 * Nearly all memory is a root anyway. A declared region is one where it is not: in a mapped file that nobody wrote to, in device memory, in
 * a block that is lost itself, under roots=segments. Parts of it that are not mapped are skipped, as LeakSanitizer does; a part that is
 * mapped and can't be read ends the cycle (law 8), unless it is one that has no contents (a page past the end of its file).
 *
 * The table lies in a mapping of its own and changes under the lock of tables.c, so that a stop finds it whole. Each declaration is
 * a row: what was declared twice is to be taken back twice.
 */
#include "heap/heap.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/roots.h"

enum { FIRST_ROOM = OS_PAGE / sizeof(struct range) };

static struct range *regions;
static size_t count, room;

static bool grow(void)
{
	size_t bigger = room ? 2 * room : FIRST_ROOM;
	void *at = regions ? os_remap(regions, room * sizeof *regions, bigger * sizeof *regions) : os_map(bigger * sizeof *regions);
	if (!at)
		return false;
	regions = at;
	room = bigger;
	return true;
}

void roots_declare(uintptr_t low, uintptr_t high)
{
	tables_enter();
	if (count < room || grow())
		regions[count++] = (struct range){ low, high };
	else
		tables_set_full();
	tables_leave();
}

bool roots_undeclare(uintptr_t low, uintptr_t high)
{
	bool found = false;
	tables_enter();
	for (size_t i = count; i-- > 0 && !found;) {
		found = regions[i].low == low && regions[i].high == high;
		if (found)
			regions[i] = regions[--count];
	}
	tables_leave();
	return found;
}

bool declared_each(const struct maps *maps, bool (*fn)(const struct mapping *m, uintptr_t low, uintptr_t high))
{
	for (size_t i = 0; i < count; i++) {
		uintptr_t low = align_up(regions[i].low, 8), high = align_down(regions[i].high, 8);
		for (size_t k = 0; k < maps->count && low < high; k++) {
			const struct mapping *m = &maps->at[k];
			uintptr_t from = m->low > low ? m->low : low, to = m->high < high ? m->high : high;
			if (from < to && !fn(m, from, to))
				return false;
		}
	}
	return true;
}

void declared_memory(void (*fn)(uintptr_t low, uintptr_t high)) { fn((uintptr_t)regions, (uintptr_t)(regions + room)); }
