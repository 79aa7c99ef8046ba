/*
 * Growth: memory that the program still reaches, and gathers all the same.
 *
 *   report_tick     in a stop: adds up the bytes of all blocks by site (one state byte and one u32 a slot: some 20 ms a gigabyte of small
 *                   blocks); after it, each site's sum goes into its row
 *   a row           16 points. When they are full every other old one is dropped, so the past gets coarser the longer ago it is, and the
 *                   first sample always stays: what grows by a little for days shows as clearly as what grew just now
 *   the table       4,096 rows of 400 bytes, mapped with the first tick. When it is full a new site takes the row of the smallest one
 *                   that is smaller than it is
 *
 * A thread's few slots that are ready to be handed out count as blocks of their last site here: a mark would tell, and costs more
 * than the noise is worth.
 */
#include "report/growth.h"
#include "report/names.h"
#include "report/report.h"
#include "cycle/cycle_parts.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "os/os.h"

#include <string.h>

enum { ROWS = 4096, PROBES = 64 };

struct row {
	uint32_t node, count;
	uint64_t blocks, bytes;  /* at the last sample */
	struct growth_point at[GROWTH_POINTS];
};
static struct row *rows;     /* under names_lock; [ROWS], open addressing by node without removal */
static struct growth_looks looks; /* under names_lock */
static uint32_t ticking;     /* atomic */

/* ---- rows ---- */

static uint32_t place_of(uint32_t node) { return node * 0x9E3779B9u >> 20; }

static struct row *find(uint32_t node)
{
	for (uint32_t i = place_of(node), n = 0; rows && n < PROBES; n++, i = (i + 1) % ROWS)
		if (rows[i].node == node && node)
			return &rows[i];
	return NULL;
}

/* A free place that a search would come by; else, of those places, the site that is the smallest and smaller than `bytes`. */
static struct row *make(uint32_t node, uint64_t bytes)
{
	struct row *least = NULL;
	for (uint32_t i = place_of(node), n = 0; n < PROBES; n++, i = (i + 1) % ROWS) {
		struct row *r = &rows[i];
		if (!r->node) {
			least = r;
			break;
		}
		if (r->bytes < bytes && (!least || r->bytes < least->bytes))
			least = r;
	}
	if (least)
		*least = (struct row){ .node = node };
	return least;
}

/* The first and the last point stay, of those between every other one. */
static void thin(struct row *r)
{
	uint32_t kept = 1;
	for (uint32_t i = 2; i < r->count - 1; i += 2)
		r->at[kept++] = r->at[i];
	r->at[kept++] = r->at[r->count - 1];
	r->count = kept;
}

void growth_note(uint32_t node, const struct growth_point *p)
{
	if (!node || (!rows && !(rows = os_map(align_up(ROWS * sizeof *rows, OS_PAGE)))))
		return;
	struct row *r = find(node);
	if (!r && !(r = make(node, p->bytes)))
		return;
	if (r->count == GROWTH_POINTS)
		thin(r);
	r->at[r->count++] = *p;
	r->blocks = p->blocks;
	r->bytes = p->bytes;
}

static bool grew(const struct row *r) { return r && r->count >= 2 && r->at[r->count - 1].bytes > r->at[0].bytes; }

unsigned growth_points(uint32_t node, struct growth_point points[GROWTH_POINTS])
{
	const struct row *r = find(node);
	if (!grew(r))
		return 0;
	memcpy(points, r->at, r->count * sizeof *points);
	return r->count;
}

int64_t growth_rate(uint32_t node)
{
	const struct row *r = find(node);
	if (!grew(r))
		return 0;
	const struct growth_point *first = &r->at[0], *last = &r->at[r->count - 1];
	uint64_t ms = (last->at_ns - first->at_ns) / 1000000;
	return ms ? (int64_t)((double)(last->bytes - first->bytes) * 1000 / (double)ms) : 0;
}

struct growth_looks growth_looks(void) { return looks; }

void growth_forked(void)
{
	looks = (struct growth_looks){ 0 };
	if (rows)
		memset(rows, 0, align_up(ROWS * sizeof *rows, OS_PAGE));
	store_relaxed(&ticking, 0);
}

/* ---- a sample ---- */

struct sum { uint64_t blocks, bytes; };
struct tick {
	struct sum *sums;
	uint32_t nodes;
};

static void add(struct tick *t, const struct span *s, uint32_t slot)
{
	const uint32_t node = sites_of(s, slot);
	if (node && node < t->nodes) {
		const double stands_for = sites_weight(s->block); /* sample= */
		t->sums[node].blocks += (uint64_t)(stands_for + 0.5);
		t->sums[node].bytes += (uint64_t)(stands_for * (double)sites_bytes(s, slot) + 0.5);
	}
}

/* Inside a stop. */
static void sum_up(void *arg)
{
	struct tick *t = arg;
	for (uint32_t i = SPAN_FIRST, n = span_count(); i < n; i++) {
		const struct span *s = &arena.spans[i];
		if (s->kind != SPAN_SMALL && s->kind != SPAN_LARGE)
			continue;
		for (uint32_t slot = 0; slot < s->slots; slot++)
			if (state_is_block(s->state[slot]))
				add(t, s, slot);
	}
}

/* Known sites take part whatever they have now; others when they have something. */
static void note_all(const struct tick *t)
{
	const uint64_t now = os_real_ns();
	names_lock();
	looks = (struct growth_looks){ looks.count + 1, looks.count ? looks.first_ns : now, now };
	for (uint32_t i = 0; rows && i < ROWS; i++)
		if (rows[i].node && rows[i].node < t->nodes) {
			struct sum *s = &t->sums[rows[i].node];
			growth_note(rows[i].node, &(struct growth_point){ now, s->blocks, s->bytes });
			s->bytes = 0;
		}
	for (uint32_t node = 1; node < t->nodes; node++)
		if (t->sums[node].bytes)
			growth_note(node, &(struct growth_point){ now, t->sums[node].blocks, t->sums[node].bytes });
	names_unlock();
}

void report_tick(void)
{
	if (!sites_on() || __atomic_exchange_n(&ticking, 1, __ATOMIC_ACQUIRE))
		return;
	struct tick t = { .nodes = depot_count() + 1 };
	const size_t room = align_up(t.nodes * sizeof *t.sums, OS_PAGE);
	t.sums = os_map(room);
	if (t.sums && cycle_in_stop(sum_up, &t))
		note_all(&t);
	if (t.sums)
		os_unmap(t.sums, room);
	store_release(&ticking, 0);
}
