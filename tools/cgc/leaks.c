/*
 * From snapshots to a written report.
 *
 * Names are read for what will be written. Rules may match any frame of any site, so where there are rules all listed sites are named first;
 * without rules those that the limit leaves out are not.
 */
#include "leaks.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_LIMIT = 50 }; /* sites: more than a person reads; other formats are for programs, which get all */

bool leaks_colour(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return !(no && *no) && isatty(fileno(to)) && terminal && strcmp(terminal, "dumb") != 0;
}

static size_t limit_of(const struct leaks_request *r) { return r->limit_given ? r->choice.limit : r->format == FORMAT_TEXT ? TEXT_LIMIT : 0; }

struct wanted { const struct view_site *end; struct choice choice; };

static bool is_wanted(const struct view_site *site, const void *arg)
{
	const struct wanted *w = arg;
	return (!w->end || site < w->end) && site_chosen(site, &w->choice);
}

/* One place behind the last site that the limit lets through; NULL: all. */
static const struct view_site *end_of_page(const struct view *v, const struct choice *c, size_t limit)
{
	size_t number = 0;
	for (size_t i = 0; limit && i < v->count; i++)
		if (site_chosen(&v->sites[i], c) && ++number > limit)
			return &v->sites[i];
	return NULL;
}

int leaks_view(struct view *v, struct view_source *sources, size_t count, const struct leaks_request *r, const struct suppressions *s)
{
	if (!view_make(v, sources, count, r->choice.since_ns))
		return STATUS_USAGE;
	view_order(v, &r->choice);
	struct wanted w = { .choice = r->choice };
	if (!s->count)
		w.end = end_of_page(v, &r->choice, limit_of(r));
	symbols_resolve(v, is_wanted, &w, &r->symbols);
	suppressions_apply(s, v, &r->choice);
	return 0;
}

void leaks_write(FILE *to, const struct view *v, const struct leaks_request *r, const struct suppressions *s)
{
	struct page p = { .to = to, .view = v, .choice = r->choice, .suppressions = s, .whole_stacks = r->whole_stacks, .colour = leaks_colour(to) };
	p.choice.limit = limit_of(r);
	switch (r->format) {
	case FORMAT_LSAN: format_lsan(&p); break;
	case FORMAT_JSON: format_json(&p); break;
	case FORMAT_TEXT:
	default: format_text(&p);
	}
}

void leaks_caution(const struct view *v)
{
	if (!v->complete)
		complain("no cycle completed%s: what is lost is not known, all counts as reachable: --reachable lists it, a later snapshot may know more",
		         v->source_count > 1 ? " in some of the processes" : "");
	if (v->cut)
		complain("memory ran out while the snapshot was made: numbers are low, nothing in it is wrong");
}
