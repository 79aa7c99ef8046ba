/*
 * Touched pages.
 *
 *   1. After a complete mark, pages that lie in condemned blocks from end to end are veiled (heap/veil.c): blocks that the last
 *      verdict condemned and that this mark did not reach either, which collect with grace=1 would recycle now.
 *   2. At the next stop, before the marker reads anything, a page that was touched is a contradiction if a condemned block still
 *      lies on it. (One that was freed or reallocated is evidence already, and free writes into it: audit.c excuses its pages.)
 *   3. Of the others those stay veiled that still consist of condemned blocks.
 *
 * Which block of the page was touched, and by what code, cannot be told; the first condemned one is named.
 */
#include "cycle/touch.h"
#include "cycle/audit.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "heap/veil.h"
#include "roots/roots.h"

enum { EACH_CYCLE = 256 }; /* bounds what veiling adds to a stop: about a millisecond */

static bool condemned_on(uintptr_t page, struct block_info *info)
{
	for (uintptr_t at = page; at < page + OS_PAGE; at = info->start + info->span->block) {
		if (heap_find(at, info) == FOUND_NOTHING)
			return false;
		if (state_is_condemned(info->state))
			return true;
	}
	return false;
}

/* Nothing but condemned blocks: no free slot either, whose link the heap reads and writes. */
static bool all_condemned(uintptr_t page)
{
	struct block_info info;
	for (uintptr_t at = page; at < page + OS_PAGE; at = info.start + info.span->block)
		if (heap_find(at, &info) != FOUND_BLOCK || !state_is_condemned(info.state))
			return false;
	return true;
}

static bool check(uintptr_t page, bool touched)
{
	struct block_info info = { 0 };
	if (!touched)
		return true;
	if (condemned_on(page, &info))
		audit_touched(info.start, info.span->block, sites_bytes(info.span, info.slot), sites_of(info.span, info.slot));
	return false;
}

static bool stays(uintptr_t page, bool touched) { return all_condemned(page); }
static bool no_longer(uintptr_t page, bool touched) { return false; }

void touch_check(void) { veil_each(check); }
void touch_lift(void) { veil_each(no_longer); }

static bool veil_span(const struct span *s)
{
	uintptr_t end = s->kind == SPAN_LARGE ? s->start + s->block : s->start + s->slots * s->block;
	uint32_t i = 0;
	while (i < s->slots && !state_is_condemned(s->state[i]))
		i++;
	if (i == s->slots)
		return true;
	for (uintptr_t page = align_up(span_address(s, i), OS_PAGE); page + OS_PAGE <= end; page += OS_PAGE)
		if (all_condemned(page) && !veil_covers(page) && roots_plain(page, page + OS_PAGE) && !veil_page(page))
			return false;
	return true;
}

void touch_veil(void)
{
	veil_each(stays);
	if (veil_begin(EACH_CYCLE)) {
		bool room = true;
		for (uint32_t i = SPAN_FIRST, spans = span_count(); room && i < spans; i++)
			if (arena.spans[i].kind == SPAN_SMALL || arena.spans[i].kind == SPAN_LARGE)
				room = veil_span(&arena.spans[i]);
	}
	veil_end();
}
