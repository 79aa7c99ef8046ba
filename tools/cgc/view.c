/*
 * Merging snapshots into one view.
 *
 *   1. Every site of every snapshot becomes an entry (id, snapshot, index); sorting brings equal ids together.
 *   2. Entries of one id become one site: numbers add up, stack and example come from the first snapshot that has it.
 *   3. Growth points are handed to their sites; each snapshot's series gives a difference and a rate, which add up too.
 *   4. Sites are put in order: first what has definite blocks, by what would be freed with them, then possible, indirect, the rest.
 *
 * Sums may wrap on a crafted file; nothing is indexed by them.
 */
#include "view.h"
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const kind_names[KINDS] = { "definite", "indirect", "possible", "reachable" };
const char *const rule_texts[RULES] = {
	[RULE_NO_POINTER] = "no root and no block holds a pointer to it",
	[RULE_CYCLE] = "only blocks that hang off it point to it",
	[RULE_LOST_OWNER] = "only lost blocks lead to it",
	[RULE_INTERIOR_ONLY] = "only pointers into its middle lead to it",
	[RULE_STALE_STACK_ONLY] = "only stale words of a stack lead to it",
	[RULE_POSSIBLE_OWNER] = "only possibly lost blocks lead to it",
	[RULE_REACHABLE] = "a root leads to it",
};

/* ---- steps 1 and 2 ---- */

struct entry { uint64_t id; uint32_t source, index; };

static int by_id(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void add_count(struct count *to, uint64_t blocks, uint64_t bytes)
{
	to->blocks += blocks;
	to->bytes += bytes;
}

static void add_site(struct view_site *to, const struct snapshot *s, const struct snapshot_site *from)
{
	for (int k = 0; k < KINDS; k++)
		add_count(&to->kind[k], from->kind[k].blocks, from->kind[k].bytes);
	add_count(&to->owned, from->owned_blocks, from->owned_bytes);
	to->largest = from->largest > to->largest ? from->largest : to->largest;
	to->error += from->factor_bytes * from->factor_bytes; /* variances add up; the root is taken in the end */
	if (!to->suppression && (from->flags & 1))
		to->suppression = keep_clean(from->suppression ? snapshot_string(s, from->suppression) : "by the program");
}

static struct entry *list_entries(struct view *v, size_t *count)
{
	size_t n = 0;
	for (size_t i = 0; i < v->source_count; i++)
		n += snapshot_count(&v->sources[i].s, SECTION_SITES);
	struct entry *list = calloc(n + 1, sizeof(*list));
	*count = n;
	n = 0;
	for (size_t i = 0; list && i < v->source_count; i++) {
		struct view_source *source = &v->sources[i];
		uint64_t sites = snapshot_count(&source->s, SECTION_SITES);
		source->site_of = calloc(sites + 1, sizeof(*source->site_of));
		if (!source->site_of) {
			free(list);
			return NULL;
		}
		for (uint64_t k = 0; k < sites; k++) {
			struct snapshot_site site;
			snapshot_record(&source->s, SECTION_SITES, k, &site, sizeof(site));
			list[n++] = (struct entry){ site.id, (uint32_t)i, (uint32_t)k };
		}
	}
	if (list)
		qsort(list, n, sizeof(*list), by_id);
	return list;
}

static bool merge(struct view *v)
{
	size_t n;
	struct entry *list = list_entries(v, &n);
	v->sites = list ? calloc(n + 1, sizeof(*v->sites)) : NULL;
	for (size_t i = 0; v->sites && i < n; i++) {
		const struct snapshot *s = &v->sources[list[i].source].s;
		struct snapshot_site from;
		snapshot_record(s, SECTION_SITES, list[i].index, &from, sizeof(from));
		if (!i || list[i].id != list[i - 1].id)
			v->sites[v->count++] = (struct view_site){ .id = from.id, .source = list[i].source, .frame = from.frame, .example = from.example, .rule = from.rule };
		struct view_site *to = &v->sites[v->count - 1];
		to->processes += !i || list[i].id != list[i - 1].id || list[i].source != list[i - 1].source;
		add_site(to, s, &from);
		v->sources[list[i].source].site_of[list[i].index] = (uint32_t)(v->count - 1);
	}
	free(list);
	return v->sites != NULL;
}

/* ---- step 3 ---- */

/* One series: the points of one site in one snapshot, oldest first. */
static void add_series(struct view_site *site, const struct view_point *p, size_t n, uint64_t from_ns)
{
	const struct view_point *last = &p[n - 1], *first = p;
	while (first + 1 < last && first[1].at_ns <= from_ns)
		first++; /* the newest one that stands at the window's start or before it, and is not the last */
	const uint64_t span = last->at_ns > first->at_ns ? last->at_ns - first->at_ns : 0;
	site->sampled_over_time = true;
	site->span_ns = span > site->span_ns ? span : site->span_ns;
	site->grown = (int64_t)((uint64_t)site->grown + last->live.bytes - first->live.bytes); /* damaged files may wrap around */
	if (span)
		site->rate += (double)(int64_t)(last->live.bytes - first->live.bytes) / ((double)span / 1e9);
}

static bool add_point(struct view_site *site, const struct view_point *p)
{
	/* Room doubles whenever the count is a power of two. */
	if (!(site->point_count & (site->point_count - 1))) {
		size_t room = site->point_count ? 2 * site->point_count : 1;
		struct view_point *more = realloc(site->points, room * sizeof(*more));
		if (!more)
			return false;
		site->points = more;
	}
	site->points[site->point_count++] = *p;
	return true;
}

static void add_looks(struct view *v, const struct snapshot *s)
{
	struct snapshot_looks l;
	if (!snapshot_count(s, SECTION_LOOKS))
		return;
	snapshot_record(s, SECTION_LOOKS, 0, &l, sizeof(l));
	if (l.count < v->looks || (v->look_every_ns && !l.every_ns))
		return;
	v->looks = l.count;
	v->looked_ns = l.last_ns > l.first_ns ? l.last_ns - l.first_ns : 0;
	v->look_every_ns = l.every_ns;
}

static bool add_growth(struct view *v, uint64_t since_ns)
{
	for (size_t i = 0; i < v->source_count; i++) {
		const struct view_source *source = &v->sources[i];
		uint64_t count = snapshot_count(&source->s, SECTION_GROWTH);
		uint64_t made = source->s.head.made_ns, from_ns = since_ns && made > since_ns ? made - since_ns : 0;
		for (uint64_t k = 0, series = 0; k < count; k++) {
			struct snapshot_growth g, next = { 0 };
			snapshot_record(&source->s, SECTION_GROWTH, k, &g, sizeof(g));
			if (k + 1 < count)
				snapshot_record(&source->s, SECTION_GROWTH, k + 1, &next, sizeof(next));
			struct view_site *site = &v->sites[source->site_of[g.site]];
			struct view_point p = { source->s.head.pid, g.at_ns, { g.blocks, g.bytes } };
			if (!add_point(site, &p))
				return false;
			if (k + 1 == count || next.site != g.site) {
				size_t n = (size_t)(k + 1 - series);
				add_series(site, site->points + site->point_count - n, n, from_ns);
				series = k + 1;
			}
		}
	}
	return true;
}

/* ---- step 4 ---- */

static struct choice order = { .possible = true, .reachable = true }; /* qsort hands nothing on: what is not shown is no reason to stand first */

static int rank(const struct view_site *s)
{
	if (s->kind[KIND_DEFINITE].blocks)
		return 0;
	return s->kind[KIND_POSSIBLE].blocks && choice_has(&order, KIND_POSSIBLE) ? 1 : s->kind[KIND_INDIRECT].blocks ? 2 : 3;
}

static uint64_t weight(const struct view_site *s)
{
	switch (rank(s)) {
	case 0: return s->kind[KIND_DEFINITE].bytes + s->owned.bytes;
	case 1: return s->kind[KIND_POSSIBLE].bytes;
	case 2: return s->kind[KIND_INDIRECT].bytes;
	default: return s->kind[KIND_REACHABLE].bytes;
	}
}

static int by_importance(const void *a, const void *b)
{
	const struct view_site *x = a, *y = b;
	if (rank(x) != rank(y))
		return rank(x) - rank(y);
	if (weight(x) != weight(y))
		return weight(x) > weight(y) ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id); /* equal ones in the same order in every run */
}

static int by_growth(const void *a, const void *b)
{
	const struct view_site *x = a, *y = b;
	return x->grown != y->grown ? (x->grown > y->grown ? -1 : 1) : by_importance(a, b);
}

void view_order(struct view *v, const struct choice *c)
{
	order = *c;
	qsort(v->sites, v->count, sizeof(*v->sites), c->since_ns ? by_growth : by_importance);
}

/* The sites are in the order of their ids here, which differ: no other shares a longer prefix than a neighbour. */
static void set_digits(struct view *v)
{
	for (size_t i = 0; i < v->count; i++)
		v->sites[i].id_digits = 6;
	for (size_t i = 1; i < v->count; i++) {
		struct view_site *a = &v->sites[i - 1], *b = &v->sites[i];
		unsigned needed = (unsigned)__builtin_clzll(a->id ^ b->id) / 4 + 1;
		a->id_digits = needed > a->id_digits ? needed : a->id_digits;
		b->id_digits = needed > b->id_digits ? needed : b->id_digits;
	}
}

/* The root without libm: Newton's steps from above fall until they are at rest. */
static double root_of(double x)
{
	double r = x > 1 ? x : 1;
	for (int i = 0; x > 0 && i < 200 && r - x / r > r * 1e-12; i++)
		r = (r + x / r) / 2;
	return x > 0 ? r : 0;
}

bool view_make(struct view *v, struct view_source *sources, size_t count, uint64_t since_ns)
{
	*v = (struct view){ .sources = sources, .source_count = count, .complete = true };
	for (size_t i = 0; i < count; i++) {
		v->complete &= (sources[i].s.head.flags & SNAPSHOT_COMPLETE) != 0;
		v->cut |= (sources[i].s.head.flags & SNAPSHOT_CUT) != 0;
		v->sampled |= sources[i].s.head.sample_bytes != 0;
		add_looks(v, &sources[i].s);
	}
	if (!merge(v) || !add_growth(v, since_ns)) {
		complain("no memory for %zu snapshots: name fewer at a time", count);
		return false;
	}
	set_digits(v);
	for (size_t i = 0; i < v->count; i++)
		v->sites[i].error = root_of(v->sites[i].error);
	qsort(v->sites, v->count, sizeof(*v->sites), since_ns ? by_growth : by_importance);
	for (size_t i = 0; i < count; i++) {
		free(sources[i].site_of); /* places before the sort; nothing else asks for them */
		sources[i].site_of = NULL;
	}
	return true;
}

/* ---- choosing ---- */

struct count site_shown(const struct view_site *site, const struct choice *c)
{
	struct count sum = { 0, 0 };
	for (int k = 0; k < KINDS; k++)
		if (choice_has(c, k))
			add_count(&sum, site->kind[k].blocks, site->kind[k].bytes);
	return sum;
}

static bool only_hangs(const struct view_site *site, const struct choice *c)
{
	return !c->indirect && !c->since_ns && site_shown(site, c).blocks == site->kind[KIND_INDIRECT].blocks;
}

static bool has_chosen(const struct view_site *site, const struct choice *c)
{
	return site_shown(site, c).blocks && (!c->since_ns || site->grown > 0);
}

static bool would_be_listed(const struct view_site *site, const struct choice *c) { return has_chosen(site, c) && !only_hangs(site, c); }

bool site_chosen(const struct view_site *site, const struct choice *c)
{
	return would_be_listed(site, c) && (!site->suppression || c->suppressed);
}

struct sums view_sums(const struct view *v, const struct choice *c)
{
	struct sums sum = { 0 };
	for (size_t i = 0; i < v->count; i++) {
		const struct view_site *site = &v->sites[i];
		struct count shown = site_shown(site, c);
		if (!site->suppression && !choice_has(c, KIND_POSSIBLE))
			add_count(&sum.hidden_possible, site->kind[KIND_POSSIBLE].blocks, site->kind[KIND_POSSIBLE].bytes);
		if (site->suppression && would_be_listed(site, c)) {
			sum.suppressed_sites++;
			add_count(&sum.suppressed, shown.blocks, shown.bytes);
		}
		bool chosen = site_chosen(site, c), counts = c->since_ns ? chosen : !site->suppression || c->suppressed;
		for (int k = 0; counts && k < KINDS; k++)
			add_count(&sum.kind[k], site->kind[k].blocks, site->kind[k].bytes);
		bool hangs = counts && has_chosen(site, c) && only_hangs(site, c);
		if (chosen || hangs)
			add_count(&sum.shown, shown.blocks, shown.bytes);
		sum.sites += chosen;
		if (hangs) {
			sum.hanging_sites++;
			add_count(&sum.hanging, shown.blocks, shown.bytes);
		}
	}
	for (size_t i = 0; i < v->source_count; i++)
		add_count(&sum.live, v->sources[i].s.head.live_blocks, v->sources[i].s.head.live_bytes);
	return sum;
}

const char *site_id(const struct view_site *site)
{
	static char ring[8][24];
	static unsigned next;
	char *text = ring[next++ % NELEM(ring)];
	snprintf(text, sizeof(ring[0]), "%016" PRIx64, site->id);
	text[site->id_digits] = 0;
	return text;
}

const struct view_site *view_find(const struct view *v, const char *prefix)
{
	size_t n = strlen(prefix), found = 0;
	const struct view_site *site = NULL;
	if (!n || n > 16 || strspn(prefix, "0123456789abcdefABCDEF") != n) {
		complain("%s is no id of a site: an id is 1 to 16 hexadecimal digits, as `cgc leaks` prints it", prefix);
		return NULL;
	}
	uint64_t value = strtoull(prefix, NULL, 16);
	for (size_t i = 0; i < v->count; i++)
		if (v->sites[i].id >> (64 - 4 * n) == value) {
			site = &v->sites[i];
			found++;
		}
	if (found == 1)
		return site;
	if (!found)
		complain("no site's id begins with %s: `cgc leaks --possible --reachable --show-suppressed --limit=0` lists all ids", prefix);
	else
		complain("%zu sites' ids begin with %s: give more digits", found, prefix);
	return NULL;
}
