/*
 * The sums of a report: one row a site, found by a hash table; single blocks, where they are asked for; at the end both in order.
 *
 * Everything lies in own mappings that double. Where one can't grow, what has no place is left out and the report is `cut`: its numbers
 * are low, none is wrong. With sample= a recorded block counts as all those it stands for, others don't count. The mappings are kept out of the roots as long as a report has them: they are full of addresses.
 */
#include "report/find.h"
#include "heap/classes.h"
#include "heap/sites.h"
#include "os/os.h"
#include "roots/roots.h"
#include "base/sort.h"

enum { FIRST_BYTES = 4096, NO_ROW = UINT32_MAX };

struct row {
	uint32_t site;
	bool lost_example;
	uint64_t example, largest; /* of snapshot_site */
	uint64_t rules[RULES];     /* blocks, by enum snapshot_rule */
	struct sum { double blocks, bytes; } kind[KINDS], owned; /* whole numbers without sample=, and exact up to 2^53 */
	struct site_tally tally;
	double variance;           /* of the bytes: each block counts with 1/p, p being its chance to be recorded */
};

static struct {
	struct report *r;
	unsigned flags;
	struct row *rows;
	size_t row_bytes;
	uint32_t *places;          /* row + 1; 0: empty */
	uint32_t mask;             /* places - 1 */
	uint32_t last_site, last_row; /* neighbours in a span come from the same place as a rule */
	uint32_t owner;            /* row of the last definite block */
	bool lost;                 /* something is lost or possible that is told here */
	bool cut;
} g;
struct watched gather_watched;

/* ---- block sizes ---- */

uint64_t block_bytes(const struct span *s, uint32_t slot) { return sites_bytes(s, slot); }

void block_sizes(const struct span *s, uint32_t slot, uint64_t *least, uint64_t *most)
{
	if (s->kind == SPAN_LARGE) {
		*most = s->block - !s->exact;
		*least = s->exact ? s->block : s->block - 16;
		return;
	}
	const unsigned k = s->class >= NATURAL ? s->class : class_of(sites_bytes(s, slot)); /* the slot may be of its stand-in */
	*most = class_usable(k);
	*least = k == 0 || k >= NATURAL ? 0 : class_usable(k - 1) + 1;
}

/* ---- rows ---- */

bool gather_wants_reachable(void)
{
	if (g.flags & REPORT_OF_CHILD && !g.lost)
		return false;
	return g.flags & (REPORT_SITES | REPORT_REACHABLE) || gather_watched.hidden;
}
void gather_cut(void) { g.cut = true; }
bool gather_was_cut(void) { return g.cut; }

static uint32_t hash(uint32_t site) { return (uint32_t)(site * 0x9E3779B97F4A7C15ull >> 32); }

static void enter(uint32_t row)
{
	uint32_t i = hash(g.rows[row].site) & g.mask;
	while (g.places[i])
		i = (i + 1) & g.mask;
	g.places[i] = row + 1;
}

/* Twice the places, at most half of them taken. */
static bool more_places(void)
{
	size_t bytes = (g.mask + 1) * sizeof *g.places;
	uint32_t *bigger = os_map(2 * bytes);
	if (!bigger)
		return false;
	os_unmap(g.places, bytes);
	g.places = bigger;
	g.mask = 2 * g.mask + 1;
	for (uint32_t i = 0; i < g.r->count; i++)
		enter(i);
	return true;
}

static bool room_for_row(void)
{
	if ((g.r->count + 1) * sizeof *g.rows > g.row_bytes) {
		struct row *bigger = os_remap(g.rows, g.row_bytes, 2 * g.row_bytes);
		if (!bigger)
			return false;
		g.rows = bigger;
		g.row_bytes *= 2;
	}
	return g.r->count < g.mask / 2 || more_places();
}

static uint32_t row_of(uint32_t site)
{
	if (site == g.last_site)
		return g.last_row;
	uint32_t i = hash(site) & g.mask;
	for (; g.places[i]; i = (i + 1) & g.mask)
		if (g.rows[g.places[i] - 1].site == site)
			goto found;
	if (!room_for_row()) {
		g.cut = true;
		return NO_ROW;
	}
	g.rows[g.r->count].site = site;
	enter(g.r->count++);
	i = hash(site) & g.mask;
	while (g.rows[g.places[i] - 1].site != site)
		i = (i + 1) & g.mask;
found:
	g.last_site = site;
	return g.last_row = g.places[i] - 1;
}

struct site_tally *gather_tally(struct place p)
{
	uint32_t row = row_of(sites_of(p.s, p.slot));
	return row == NO_ROW ? NULL : &g.rows[row].tally;
}

/* ---- blocks ---- */

static uint64_t rounded(double x) { return (uint64_t)(x + 0.5); }
static void count(struct sum *to, double stands_for, uint64_t bytes)
{
	to->blocks += stands_for;
	to->bytes += stands_for * (double)bytes;
}

static void list_block(struct place p, uint32_t row, enum snapshot_kind kind, enum snapshot_rule rule, uintptr_t owner)
{
	struct report *r = g.r;
	if ((r->block_count + 1) * sizeof *r->blocks > r->blocks_room) {
		struct snapshot_block *bigger = os_remap(r->blocks, r->blocks_room, 2 * r->blocks_room);
		if (!bigger) {
			g.cut = true;
			return;
		}
		r->blocks = bigger;
		r->blocks_room *= 2;
	}
	r->blocks[r->block_count++] = (struct snapshot_block){ .address = place_address(p), .bytes = block_bytes(p.s, p.slot), .site = row,
		                                               .kind = (uint8_t)kind, .rule = (uint8_t)rule, .owner = owner };
}

/* With sample= nobody knows who made a block that is not recorded, and nobody tells of it. */
bool gather_leaves(struct place p)
{
	return !(g.flags & REPORT_INHERITED) && heap_is_inherited(p.s->state[p.slot]) && !(sites_sampled() && !sites_of(p.s, p.slot));
}

void gather_block(struct place p, enum snapshot_kind kind, enum snapshot_rule rule, struct place owner)
{
	uint64_t bytes = block_bytes(p.s, p.slot);
	const uint32_t site = sites_of(p.s, p.slot);
	const double stands_for = site || !sites_sampled() ? sites_weight(p.s->block) : 0;
	if (UNLIKELY(find_watched(p))) {
		gather_watched.seen = true;
		gather_watched.kind = (uint8_t)kind;
		gather_watched.rule = (uint8_t)rule;
		gather_watched.owner = owner;
	}
	if (kind != KIND_REACHABLE && gather_leaves(p)) { /* whoever made it reports it */
		g.r->inherited_blocks += rounded(stands_for);
		g.r->inherited_bytes += rounded(stands_for * (double)bytes);
		return;
	}
	uint32_t row = stands_for > 0 ? row_of(site) : NO_ROW;
	if (row == NO_ROW) {
		g.owner = kind == KIND_DEFINITE ? NO_ROW : g.owner;
		return;
	}
	const bool lost = kind != KIND_REACHABLE;
	g.lost = g.lost || lost;
	struct row *to = &g.rows[row];
	count(&to->kind[kind], stands_for, bytes);
	to->variance += (double)bytes * (double)bytes * stands_for * (stands_for - 1);
	to->largest = bytes > to->largest ? bytes : to->largest;
	if (!to->example || (lost && !to->lost_example)) {
		to->example = place_address(p);
		to->lost_example = lost;
	}
	to->rules[rule]++;
	if ((g.flags & REPORT_BLOCKS && lost) || g.flags & REPORT_REACHABLE)
		list_block(p, row, kind, rule, owner.s ? place_address(owner) : 0);
	if (kind == KIND_DEFINITE)
		g.owner = row;
	if (kind == KIND_INDIRECT && g.owner != NO_ROW) {
		count(&g.rows[g.owner].owned, stands_for, bytes);
	}
}

void gather_owned_by(struct place p)
{
	const uint32_t site = sites_of(p.s, p.slot);
	g.owner = site || !sites_sampled() ? row_of(site) : NO_ROW; /* with sample= a block that was not recorded is in no row */
}

/* ---- order ---- */

static uint64_t weight(const struct report_site *s)
{
	return s->s.kind[KIND_DEFINITE].bytes + s->s.kind[KIND_INDIRECT].bytes + s->s.kind[KIND_POSSIBLE].bytes;
}

/* Largest loss first, then what is largest at all; sites that are equal in the order they were met in, which s.id holds meanwhile. */
static bool before(const void *one, const void *other, const void *unused)
{
	const struct report_site *a = one, *b = other;
	uint64_t x = weight(a), y = weight(b), i = a->s.kind[KIND_REACHABLE].bytes, j = b->s.kind[KIND_REACHABLE].bytes;
	return x != y ? x > y : i != j ? i > j : a->s.id < b->s.id;
}

static uint32_t main_rule(const struct row *row)
{
	uint32_t most = RULE_REACHABLE;
	for (uint32_t i = 0; i < RULE_REACHABLE; i++)
		if (row->rules[i] && (most == RULE_REACHABLE || row->rules[i] > row->rules[most]))
			most = i;
	return most;
}

/* Blocks name rows as they were met: from the ids that the sort carried along to the new order. The places are done with and serve as map. */
static void renumber(void)
{
	uint32_t *to = g.places;
	for (uint32_t i = 0; i < g.r->count; i++)
		to[g.r->sites[i].s.id] = i;
	for (uint64_t i = 0; i < g.r->block_count; i++)
		g.r->blocks[i].site = to[g.r->blocks[i].site];
}

static void total_up(void)
{
	for (uint32_t i = 0; i < g.r->count; i++) {
		g.r->sites[i].s.id = 0;
		for (unsigned k = 0; k < KINDS; k++) {
			g.r->total[k].blocks += g.r->sites[i].s.kind[k].blocks;
			g.r->total[k].bytes += g.r->sites[i].s.kind[k].bytes;
		}
	}
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		os_unmap(p, bytes);
}

static struct report_site summed(const struct row *row, uint32_t i)
{
	struct report_site site = { .s = { .id = i, .frame = row->site, .example = row->example, .largest = row->largest, .rule = main_rule(row) } };
	for (unsigned k = 0; k < KINDS; k++) {
		site.s.kind[k].blocks = rounded(row->kind[k].blocks);
		site.s.kind[k].bytes = rounded(row->kind[k].bytes);
	}
	site.s.owned_blocks = rounded(row->owned.blocks);
	site.s.owned_bytes = rounded(row->owned.bytes);
	site.s.factor_bytes = __builtin_sqrt(row->variance);
	return site;
}

static void drop_tables(void)
{
	unmap(g.rows, g.row_bytes);
	unmap(g.places, (g.mask + 1) * sizeof *g.places);
	g.rows = NULL;
	g.places = NULL;
}

bool gather_begin(struct report *r, unsigned flags)
{
	g = (typeof(g)){ .r = r, .flags = flags, .row_bytes = FIRST_BYTES, .last_site = UINT32_MAX };
	g.rows = os_map(FIRST_BYTES);
	g.places = os_map(FIRST_BYTES);
	g.mask = FIRST_BYTES / sizeof *g.places - 1;
	if (flags & (REPORT_BLOCKS | REPORT_REACHABLE)) {
		r->blocks_room = FIRST_BYTES;
		r->blocks = os_map(FIRST_BYTES);
	}
	if (g.rows && g.places && (r->blocks || !r->blocks_room))
		return true;
	gather_drop();
	return false;
}

void gather_end(void)
{
	struct report *r = g.r;
	r->sites_room = align_up((r->count + 1) * sizeof *r->sites, OS_PAGE);
	r->sites = os_map(r->sites_room);
	if (!r->sites) {
		gather_drop();
		r->complete = false;
		r->reason = "no memory";
		r->hint = "give it more";
		return;
	}
	for (uint32_t i = 0; i < r->count; i++)
		r->sites[i] = summed(&g.rows[i], i);
	struct report_site moving;
	sort_by(r->sites, r->count, sizeof moving, before, NULL, &moving);
	renumber();
	total_up();
	drop_tables();
	r->apart[0] = roots_exclude_for_now((uintptr_t)r->sites, (uintptr_t)r->sites + r->sites_room);
	r->apart[1] = r->blocks ? roots_exclude_for_now((uintptr_t)r->blocks, (uintptr_t)r->blocks + r->blocks_room) : -1;
}

void gather_drop(void)
{
	drop_tables();
	unmap(g.r->blocks, g.r->blocks_room);
	g.r->blocks = NULL;
	g.r->blocks_room = g.r->block_count = 0;
	g.r->count = 0;
}

void report_drop(struct report *r)
{
	if (r->sites) {
		roots_include(r->apart[0]);
		os_unmap(r->sites, r->sites_room);
	}
	if (r->blocks) {
		roots_include(r->apart[1]);
		os_unmap(r->blocks, r->blocks_room);
	}
	*r = (struct report){ 0 };
}
