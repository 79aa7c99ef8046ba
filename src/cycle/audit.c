/*
 * Evidence, and the verdict of an audit.
 *
 * free or realloc of a block that was judged lost proves that the program had a pointer that no root shows.
 *
 *   collect            recycling ends for the process, with one line
 *   collect, sites=1   recycling ends for the allocation site, with one line a site; without a known site as above
 *   audit              contradictions are gathered by (stack of the allocation, stack of free); for the first of each pair memory is
 *                      searched for what the program may have kept instead of the address (hidden.c). Told at exit.
 *   audit=touch        pages of lost blocks that were read or written count too (touch.c); who did it is not known
 *
 * Contradictions come from any thread and from handlers on top of a thread that is noting one, so the table is insert-only
 * and without lock: a row is claimed by a CAS on its key, and who finds it claimed counts it up. What else stands in a row is
 * written by the claimer and read at exit.
 */
#include "cycle/audit.h"
#include "cycle/cycle_parts.h"
#include "cycle/hidden.h"
#include "cycle/stack.h"
#include "cycle/touch.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/sites.h"
#include "heap/veil.h"
#include "roots/roots.h"
#include "backtrace/symbols.h"
#include "base/options.h"
#include "base/text.h"

#include <string.h>

enum {
	ROWS = 256,
	SEARCHES = 16,   /* each reads memory for up to a second or two, in a stop */
	LATER = 8,       /* of them for touched pages of one stop */
	LINES = 20,      /* immortal sites that are told one by one */
	TOP = 10,        /* sites that are listed at exit */
	FRAMES = 4       /* of a stack that are shown without verbosity=1 */
};

static LARGE struct row {
	uint64_t key;            /* atomic; 0: free */
	uint64_t count;          /* atomic */
	size_t block;            /* of the first; atomic */
	uint32_t freed;          /* node of the stack that gave it to `call`; 0: a touched page */
	const char *call;        /* NULL: a touched page */
	struct trace trace;      /* written inside a stop */
	uint32_t site;
	bool mixed;              /* atomic: others had another size */
	bool ready;              /* atomic: released after block, caller, call and site; threads may still run at exit */
} rows[ROWS];
static uint32_t row_count;       /* atomic: contradictions that found no row, or rows, whichever is more than ROWS */
static uint32_t lines;           /* atomic */
static bool told;                /* atomic: the first one was told at once */

/* ---- audit ---- */

struct search {
	uintptr_t p;
	size_t block;
	struct trace *trace;
};
static struct search later[LATER]; /* inside a stop only */
static unsigned later_count;

static void search_stopped(void *arg)
{
	struct search *s = arg;
	touch_check();
	audit_search_touched();
	touch_lift(); /* the search reads all blocks */
	hidden_look(s->p, s->block, s->trace);
}

/* Not 0, and another for each pair of nodes. */
static uint64_t key_of(uint32_t site, uint32_t freed) { return ((uint64_t)freed << 32 | site) + 1; }

/* The pair's row; *fresh: it is the first of its kind. NULL: no room. */
static struct row *row_of(uint64_t key, bool *fresh)
{
	*fresh = false;
	for (struct row *r = rows; r < rows + ROWS; r++) {
		uint64_t seen = load_acquire(&r->key);
		if (!seen && cas(&r->key, &seen, key)) {
			*fresh = true;
			return r;
		}
		if (seen == key)
			return r;
	}
	return NULL;
}

/* Counts e up; the first of its kind gets its row, to which the caller adds a trace. NULL: it is none, or there is no room. */
static struct row *note(const struct evidence *e)
{
	bool fresh;
	uint32_t freed = e->caller ? sites_here(e->caller) : 0;
	struct row *r = row_of(key_of(e->site, freed), &fresh);
	if (!r)
		return NULL;
	add_relaxed(&r->count, 1);
	if (!fresh) {
		size_t first = load_relaxed(&r->block);
		if (first && first != e->asked)
			store_relaxed(&r->mixed, true);
		return NULL;
	}
	r->site = e->site;
	store_relaxed(&r->block, e->asked);
	r->freed = freed;
	r->call = e->call;
	r->trace.how = HIDDEN_UNSOUGHT;
	store_release(&r->ready, true);
	return r;
}

static void audit(const struct evidence *e)
{
	if (veil_started())
		veil_excuse((uintptr_t)e->p, (uintptr_t)e->p + e->block);
	struct row *r = note(e);
	if (!r)
		return;
	struct search s = { (uintptr_t)e->p, e->block, &r->trace };
	if (add_relaxed(&row_count, 1) < SEARCHES)
		cycle_in_stop(search_stopped, &s);
	if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
		say("%s(%p)" TALLY_TOLD "the program hides a pointer to it: mode=collect is not safe for this program; "
		    "all places are listed at exit",
		    e->call, e->p);
}

/* The search must wait until the other touched pages are noted: it reads them. */
void audit_touched(uintptr_t p, size_t block, size_t asked, uint32_t site)
{
	stats_add(&stats.evidence, 1);
	struct row *r = note(&(struct evidence){ .p = (void *)p, .block = block, .asked = asked, .site = site });
	if (!r || add_relaxed(&row_count, 1) >= SEARCHES || later_count == LATER)
		return;
	later[later_count++] = (struct search){ p, block, &r->trace };
}

bool audit_search_touched(void)
{
	if (!later_count)
		return false;
	touch_lift();
	while (later_count) {
		struct search *s = &later[--later_count];
		hidden_look(s->p, s->block, s->trace);
	}
	return true;
}

static void finish_stopped(void *unused)
{
	touch_check();
	audit_search_touched();
}

void audit_finish(void)
{
	if (veil_started())
		cycle_in_stop(finish_stopped, NULL);
}

static void print_stack(const char *title, uint32_t node)
{
	if (!node)
		return;
	say_raw("    %s\n", title);
	stack_print(node, options.verbosity ? 0 : FRAMES);
}

static void print_row(const struct row *r)
{
	char allocated[300], freed[300], how[128];
	uint64_t count = load_relaxed(&r->count);
	const char *more = load_relaxed(&r->mixed) ? " and other sizes" : "";
	if (!r->call) {
		say_raw("  %lu page%s with blocks of %zu bytes%s, allocated at %s, judged lost, then read or written: likely %s\n", count,
		        count == 1 ? "" : "s", r->block, more, roots_place(allocated, sizeof allocated, sites_address(r->site)),
		        hidden_text(how, sizeof how, &r->trace));
		print_stack("allocated by", r->site);
		return;
	}
	say_raw("  %lu block%s of %zu bytes%s, allocated at %s, judged lost, then given to %s at %s: likely %s\n", count, count == 1 ? "" : "s",
	        r->block, more, roots_place(allocated, sizeof allocated, sites_address(r->site)), r->call,
	        roots_place(freed, sizeof freed, sites_address(r->freed)), hidden_text(how, sizeof how, &r->trace));
	print_stack("allocated by", r->site);
	print_stack(r->call, r->freed);
}

void audit_tally(struct tally *t)
{
	*t = (struct tally){ load_relaxed(&stats.evidence), load_relaxed(&stats.judged_blocks), load_relaxed(&stats.cycles), 1 };
}

void audit_print(void)
{
	struct tally t;
	char line[256];
	uint64_t listed = 0;
	audit_tally(&t);
	tally_text(line, sizeof line, &t);
	say("%s", line);
	for (const struct row *r = rows; r < rows + ROWS && load_acquire(&r->key); r++) {
		if (!load_acquire(&r->ready))
			continue;
		listed += load_relaxed(&r->count);
		print_row(r);
	}
	symbols_drop();
	if (listed < t.contradictions)
		say_raw("  and %lu more, from other places\n", t.contradictions - listed);
}

void audit_forked(void)
{
	if (options.mode != MODE_OFF && options.mode != MODE_REPORT && load_relaxed(&rows[0].key)) /* they have no rows, and their page is untouched */
		memset(rows, 0, sizeof rows);
	row_count = lines = later_count = 0;
	told = false;
	sites_forked();
}

/* ---- collect ---- */

static void end_recycling(const struct evidence *e)
{
	const char *was = state_is_condemned(e->state) ? "condemned" : "recycled";
	if (heap_recycling_ended())
		return;
	if (options.sites && sites_address(e->site)) {
		char place[300];
		if (sites_make_immortal(e->site) && add_relaxed(&lines, 1) < LINES)
			say("%s(%p) of a block that looked lost (%s), allocated at %s: the program hides pointers to blocks of this place: they are recycled "
			    "no more; mode=audit tells more",
			    e->call, e->p, was, roots_place(place, sizeof place, sites_address(e->site)));
		return;
	}
	heap_end_recycling();
	say("%s(%p) of a block that looked lost (%s): the program hides pointers: nothing is recycled from here on; mode=audit tells more", e->call,
	    e->p, was);
}

void audit_evidence(const struct evidence *e)
{
	if (options.mode == MODE_AUDIT)
		audit(e);
	else if (options.mode == MODE_COLLECT)
		end_recycling(e);
}

/* Sites by recycled bytes, the first `n` of them. Result: how many there are. */
static uint32_t most_recycled(uint32_t *top, uint32_t n)
{
	uint32_t places = 0, kept = 0;
	for (uint32_t i = 0, sites = sites_count(); i <= sites; i++) {
		uint64_t bytes = load_relaxed(&sites_get(i)->recycled_bytes);
		if (!bytes)
			continue;
		places++;
		uint32_t at = kept < n ? kept++ : n;
		for (; at > 0 && load_relaxed(&sites_get(top[at - 1])->recycled_bytes) < bytes; at--)
			if (at < n)
				top[at] = top[at - 1];
		if (at < n)
			top[at] = i;
	}
	return places;
}

void audit_print_recycled(void)
{
	uint32_t top[TOP], places = sites_on() ? most_recycled(top, TOP) : 0;
	say("%lu blocks of %lu bytes were lost and recycled, from %u place%s", load_relaxed(&stats.recycled_blocks),
	    load_relaxed(&stats.recycled_bytes), places, places == 1 ? "" : "s");
	for (uint32_t i = 0; i < places && i < TOP; i++) {
		char place[300];
		const struct site *s = sites_get(top[i]);
		say_raw("  %lu bytes in %lu blocks, allocated at %s%s\n", load_relaxed(&s->recycled_bytes), load_relaxed(&s->recycled_blocks),
		        roots_place(place, sizeof place, sites_address(top[i])), sites_immortal(top[i]) ? ", recycled no more: its pointers are hidden" : "");
	}
	if (places > TOP)
		say_raw("  and %u more places\n", places - TOP);
}
