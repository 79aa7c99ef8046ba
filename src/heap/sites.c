/*
 * The table of sites: open addressing over return addresses, insert only, so readers need no lock. Ids count up; `ids` maps a
 * hash place to its id, `addresses` an id to its address. When the table is full, further callers share site 0.
 */
#include "heap/sites.h"
#include "heap/arena.h"
#include "heap/cache.h"
#include "heap/self.h"
#include "os/os.h"

enum { PLACES = 1 << 18, SITES_MOST = PLACES * 3 / 4 };

static uintptr_t *places;    /* atomic: address + 1 slot state, 0 empty */
static uint32_t *ids;        /* atomic: 0 while its inserter has not published it */
static uintptr_t *addresses; /* [id] */
static uint32_t count;       /* atomic */

bool sites_on(void) { return load_relaxed(&places) != NULL; }
uint32_t sites_count(void) { return load_acquire(&count); }
uintptr_t sites_address(uint32_t site) { return site && site <= sites_count() ? addresses[site] : 0; }

bool sites_start(void)
{
	size_t sizes[] = { PLACES * sizeof *places, PLACES * sizeof *ids, (SITES_MOST + 1) * sizeof *addresses };
	heap_start();
	uintptr_t *p = os_map(sizes[0]);
	ids = os_map(sizes[1]);
	addresses = os_map(align_up(sizes[2], OS_PAGE));
	if (!p || !ids || !addresses)
		return false;
	for (unsigned k = 0; k < CLASSES; k++)
		class_info[k].batch = 1;
	store_release(&places, p);
	return true;
}

static uint32_t id_of(uintptr_t address)
{
	uint64_t hash = address * 0x9E3779B97F4A7C15ull;
	for (uint32_t i = (uint32_t)(hash >> 46), tried = 0; tried < 256; tried++, i = (i + 1) & (PLACES - 1)) {
		uintptr_t seen = load_acquire(&places[i]);
		if (!seen && load_relaxed(&count) < SITES_MOST) {
			if (cas(&places[i], &seen, address)) {
				uint32_t id = __atomic_add_fetch(&count, 1, __ATOMIC_ACQ_REL);
				addresses[id] = address;
				store_release(&ids[i], id);
				return id;
			}
		}
		if (seen == address) {
			uint32_t id;
			while (!(id = load_acquire(&ids[i]))) /* its inserter stands between two stores */
				cpu_relax();
			return id;
		}
	}
	return 0;
}

void sites_record(void *p, const void *caller)
{
	uintptr_t a = (uintptr_t)p;
	struct span *s = arena_span(a);
	busy_enter(); /* the inserter's two stores above are not interrupted by a stop */
	uint32_t id = id_of((uintptr_t)caller);
	if (s->kind == SPAN_LARGE) {
		s->site = id;
	} else {
		uint32_t *table = load_acquire(&s->sites);
		if (!table) {
			/* The first block recorded in this span; the thread owns it. */
			table = meta_take(s->slots * sizeof *table, CACHE_LINE);
			store_release(&s->sites, table);
		}
		if (table)
			store_relaxed(&table[span_slot(s, a)], id);
	}
	busy_leave();
}

uint32_t sites_of(const struct span *s, uint32_t slot)
{
	if (s->kind == SPAN_LARGE)
		return load_relaxed(&s->site);
	const uint32_t *table = load_acquire(&s->sites);
	return table ? load_relaxed(&table[slot]) : 0;
}
