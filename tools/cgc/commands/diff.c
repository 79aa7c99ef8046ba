/*
 * `cgc diff`: what changed between two snapshots: sites that are new, grew, shrank or are gone. Sites are known again by their id, which is made of
 * names and offsets, so the two may come from different processes of the same build.
 */
#include "commands.h"
#include "leaks.h"
#include "numbers.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"cgc diff [OPTION...] BEFORE AFTER\n"
	"\n"
	"Compares what is lost in two snapshots, files or processes, site by site.";
static const char more[] =
	"Exit status: 0; 1 with --fail-on-new when AFTER has a site that BEFORE has not; 2 for bad input;\n"
	"3 with --fail-on-new when no cycle completed in one of the two, so that nothing is known.";

enum change { NEW, GROWN, SHRUNK, GONE, SAME, CHANGES };
static const char *const change_names[CHANGES] = { "new", "grown", "shrunk", "gone", "same" };

struct pair {
	const struct view *view; /* that the site is shown from */
	const struct view_site *site;
	enum change change;
	struct count before, after;
};

static int64_t difference(const struct pair *p) { return (int64_t)(p->after.bytes - p->before.bytes); }

/* New ones first, then the grown, each by how much. */
static int by_change(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->change != y->change)
		return (int)x->change - (int)y->change;
	int64_t p = difference(x), q = difference(y);
	p = p < 0 ? -p : p;
	q = q < 0 ? -q : q;
	return p != q ? (p > q ? -1 : 1) : (x->site->id > y->site->id) - (x->site->id < y->site->id);
}

static int by_id(const void *a, const void *b)
{
	const struct view_site *const *x = a, *const *y = b;
	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static const struct view_site **sorted(const struct view *v)
{
	const struct view_site **list = calloc(v->count + 1, sizeof(void *));
	for (size_t i = 0; list && i < v->count; i++)
		list[i] = &v->sites[i];
	if (list)
		qsort((void *)list, v->count, sizeof(void *), by_id);
	return list;
}

static enum change judge(struct count before, struct count after)
{
	if (!before.blocks)
		return after.blocks ? NEW : SAME;
	if (!after.blocks)
		return GONE;
	return after.bytes > before.bytes ? GROWN : after.bytes < before.bytes ? SHRUNK : SAME;
}

static struct count count_of(const struct view_site *site, const struct choice *c)
{
	return site && site_chosen(site, c) ? site_shown(site, c) : (struct count){ 0, 0 };
}

/* Merges two lists in the order of their ids. */
static struct pair *pair_up(const struct view *a, const struct view *b, const struct choice *c, size_t *count)
{
	const struct view_site **x = sorted(a), **y = sorted(b);
	struct pair *pairs = calloc(a->count + b->count + 1, sizeof(*pairs));
	size_t i = 0, k = 0;
	*count = 0;
	while (x && y && pairs && (i < a->count || k < b->count)) {
		bool left = k == b->count || (i < a->count && x[i]->id <= y[k]->id), right = i == a->count || (k < b->count && y[k]->id <= x[i]->id);
		const struct view_site *before = left ? x[i++] : NULL, *after = right ? y[k++] : NULL;
		struct pair p = { .before = count_of(before, c), .after = count_of(after, c) };
		p.change = judge(p.before, p.after);
		p.site = p.change == GONE ? before : after;
		p.view = p.change == GONE ? a : b;
		if (p.change != SAME)
			pairs[(*count)++] = p;
	}
	free((void *)x);
	free((void *)y);
	if (pairs)
		qsort(pairs, *count, sizeof(*pairs), by_change);
	return pairs;
}

static void print_head(const struct pair *pairs, size_t count, const struct view *after)
{
	size_t n[CHANGES] = { 0 };
	int64_t sum = 0;
	for (size_t i = 0; i < count; i++) {
		n[pairs[i].change]++;
		sum += difference(&pairs[i]);
	}
	printf("cgc: %zu new, %zu grown, %zu shrunk, %zu gone, %s   %s\n", n[NEW], n[GROWN], n[SHRUNK], n[GONE], change_text(sum), format_who(after));
}

static void print_pair(const struct pair *p, bool colour)
{
	struct page page = { .to = stdout, .view = p->view, .colour = colour };
	printf("%-6s  %s  %s -> %s  id %s\n", change_names[p->change], change_text(difference(p)), blocks_text(p->before.blocks), number_text(p->after.blocks),
	       site_id(p->site));
	size_t left = format_text_frames(&page, p->site, 3);
	if (left)
		printf("        +%zu frame%s: cgc show %s %s\n", left, left == 1 ? "" : "s", p->view->sources[0].name, site_id(p->site));
}

static bool is_chosen(const struct view_site *site, const void *arg) { return site_chosen(site, arg); }

int command_diff(int argc, char **argv)
{
	struct leaks_request r = { .choice.indirect = true };
	struct view v[2];
	struct suppressions s;
	bool fail = false;
	const struct argument table[] = {
		{ "fail-on-new", ARGUMENT_SWITCH, &fail, "", "exit status 1 when a site is new" },
		{ "possible", ARGUMENT_SWITCH, &r.choice.possible, "", "possible leaks too" },
		{ "reachable", ARGUMENT_SWITCH, &r.choice.reachable, "", "all live blocks" },
		{ "suppressions", ARGUMENT_TEXTS, &r.suppressions, "FILE", "leave out what its leak: lines or valgrind blocks match" },
		{ "only", ARGUMENT_TEXTS, &r.only, "PATTERN", "only leaks with a frame in this library, file or function" },
		{ "symbolizer", ARGUMENT_CHOICE, &r.symbols.source, SYMBOLIZER_NAMES, "who names functions; auto is the first that is installed" },
		{ "debuginfod", ARGUMENT_SWITCH, &r.symbols.debuginfod, "", "fetch missing debug files by debuginfod-find" },
	};
	int status, names = arguments_read(table, NELEM(table), argc, argv, usage, more);
	if (names == -2)
		return output_done();
	if (names >= 0 && names != 2)
		complain("two snapshots are needed: cgc diff BEFORE AFTER");
	if (names != 2)
		return STATUS_USAGE;
	if (!suppressions_read(&s, &r.suppressions, &r.only))
		return STATUS_USAGE;
	for (int i = 0; i < 2; i++) {
		struct view_source *source = sources_open(argv + 1 + i, 1, r.choice.reachable ? "snapshot reachable" : "snapshot", &status);
		if (!source)
			return status;
		if (!view_make(&v[i], source, 1, 0))
			return STATUS_USAGE;
		symbols_resolve(&v[i], is_chosen, &r.choice, &r.symbols);
		suppressions_apply(&s, &v[i], &r.choice);
		leaks_caution(&v[i]);
	}
	size_t count;
	struct pair *pairs = pair_up(&v[0], &v[1], &r.choice, &count);
	if (!pairs) {
		complain("no memory to compare %s and %s", argv[1], argv[2]);
		return STATUS_USAGE;
	}
	print_head(pairs, count, &v[1]);
	for (size_t i = 0; i < count; i++)
		print_pair(&pairs[i], leaks_colour(stdout));
	bool found = count && pairs[0].change == NEW;
	free(pairs);
	if (output_done())
		return STATUS_USAGE;
	return !fail ? 0 : found ? 1 : v[0].complete && v[1].complete ? 0 : STATUS_UNKNOWN;
}
