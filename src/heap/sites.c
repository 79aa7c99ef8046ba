/*
 * The table of sites: open addressing over return addresses, insert only, so readers need no lock. Ids count up; `ids` maps a
 * hash place to its id, `sites` an id to what is known of it. When the table is full, further callers share site 0.
 *
 * In a child of fork an inserter that stood between its two stores is gone: who waits for its id gives up after a while and
 * takes site 0.
 */
#include "heap/sites.h"
#include "heap/arena.h"
#include "heap/cache.h"
#include "heap/ignored.h"
#include "heap/self.h"
#include "base/fault.h"
#include "os/os.h"

enum { PLACES = 1 << 18, SITES_MOST = PLACES * 3 / 4 };
enum { LATE = 1024 };  /* inserters that may pass the check for SITES_MOST at the same time */
enum { PATIENCE = 1000 };

static uintptr_t *places;    /* atomic: address + 1 slot state, 0 empty */
static uint32_t *ids;        /* atomic: 0 while its inserter has not published it */
static struct site *sites;   /* [id] */
static uint32_t count;       /* atomic */
static uint32_t immortals;   /* atomic */

bool sites_on(void) { return load_relaxed(&places) != NULL; }
uint32_t sites_count(void) { return load_acquire(&count); }
uintptr_t sites_address(uint32_t site) { return site && site <= sites_count() ? sites[site].address : 0; }
const struct site *sites_get(uint32_t site) { return &sites[site]; }

bool sites_start(void)
{
	size_t sizes[] = { PLACES * sizeof *places, PLACES * sizeof *ids, (SITES_MOST + LATE) * sizeof *sites };
	heap_start();
	uintptr_t *p = os_map(sizes[0]);
	ids = os_map(sizes[1]);
	sites = os_map(align_up(sizes[2], OS_PAGE));
	if (!p || !ids || !sites)
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
				sites[id].address = address;
				store_release(&ids[i], id);
				return id;
			}
		}
		if (seen == address) {
			uint32_t id = load_acquire(&ids[i]);
			for (int n = 0; !id && n < PATIENCE; n++) { /* its inserter stands between two stores */
				os_yield();
				id = load_acquire(&ids[i]);
			}
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
	uint32_t id = ignored_mark(id_of((uintptr_t)caller));
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
		return load_relaxed(&s->site) & ~IGNORED_BIT;
	const uint32_t *table = load_acquire(&s->sites);
	return table && slot < load_relaxed(&s->slots) ? load_relaxed(&table[slot]) & ~IGNORED_BIT : 0;
}

void sites_recycled(uint32_t site, size_t bytes)
{
	if (!sites_on())
		return;
	add_relaxed(&sites[site].recycled_blocks, 1);
	add_relaxed(&sites[site].recycled_bytes, bytes);
}

bool sites_make_immortal(uint32_t site)
{
	uint32_t mortal = 0;
	if (!site || site > sites_count() || !cas(&sites[site].immortal, &mortal, 1))
		return false;
	add_relaxed(&immortals, 1);
	return true;
}

void sites_forked(void)
{
	for (uint32_t i = 0, n = sites_on() ? sites_count() : 0; i <= n && sites_on(); i++)
		sites[i].recycled_blocks = sites[i].recycled_bytes = 0;
}

bool sites_any_immortal(void) { return load_relaxed(&immortals) && !fault(FAULT_law9_mortal_site); }
bool sites_immortal(uint32_t site)
{
	return sites_any_immortal() && site <= sites_count() && load_relaxed(&sites[site].immortal);
}
