/*
 * A cycle for a report: it judges nothing and recycles nothing, but lets somebody look at all blocks while they hold still.
 *
 *   1. Marks from roots by pointers to starts (mark/aside.c), without the words of the collecting thread's stack that tell nothing (weak).
 *   2. enough(): nothing else is to be known? The end. firm(): what is marked is surely reachable.
 *   3. Inner pointers and weak words are followed; plain(): what is marked has a pointer. Offsets are followed.
 *   4. all(): what is marked is what any cycle keeps alive; every other block is lost.
 *   5. Marks are cleared. The stamp stays: nothing was judged.
 *
 * cycle_look_few asks enough() with less: no stop, no list of mappings, a few roots (roots/few.c). More roots only reach more.
 *
 * Law 8 holds for reports too: after an incomplete view there is no all().
 */
#include "cycle/look.h"
#include "cycle/touch.h"
#include "heap/heap.h"
#include "heap/veil.h"
#include "mark/mark.h"
#include "os/os.h"
#include "roots/roots.h"
#include "base/options.h"
#include "base/text.h"

static bool apart_now, firm_now, few_marks; /* of the look under way, under the collect lock: what has to be dropped after a fault */

static enum abort_reason mark_for(const struct cycle_look *look, uint64_t *root_bytes)
{
	if (!mark_cached())
		return ABORT_CORRUPT_LIST;
	if (!mark_set_aside(look->as_good))
		return ABORT_NO_MEMORY;
	roots_set_weak(look->weak_below, look->weak_registers);
	enum abort_reason reason = roots_mark(root_bytes);
	roots_set_weak(0, false);
	mark_drain();
	if (reason != ABORT_NONE || (look->enough && mark_complete() && look->enough(look->arg)))
		return reason;
	firm_now = true;
	if (!look->firm(look->arg)) {
		look->done();
		return ABORT_NO_MEMORY;
	}
	bool cut = !mark_follow_aside();
	roots_weak_each(look->weak);
	mark_drain();
	look->plain(look->arg);
	mark_follow_offsets(look->scanned);
	mark_drain();
	if (!mark_complete()) {
		look->done();
		return ABORT_ROOT_UNREADABLE;
	}
	size_t wrong = options.verify ? mark_verify() : 0;
	if (wrong)
		die("verify=1: %zu edges from marked blocks lead to unmarked ones: the marker is wrong: report this", wrong);
	look->all(cut);
	look->done();
	return ABORT_NONE;
}

static bool drained_enough(const struct cycle_look *look)
{
	mark_drain();
	return mark_complete() && look->enough(look->arg);
}

enum { FEW_PAGES = 6 }; /* a small heap's state bytes, ranges and inner pointers of the marker */

static bool few(void *arg)
{
	const struct cycle_look *look = arg;
	if (!roots_few_begin())
		return false;
	bool enough = look->enough(look->arg);
	os_map_soon(enough || look->no_mark ? 0 : FEW_PAGES * OS_PAGE);
	if (!enough && !look->no_mark && mark_begin()) {
		few_marks = true;
		const bool apart = apart_now = look->apart && mark_apart();
		if (apart == look->apart && mark_set_aside(look->as_good)) {
			roots_few_mark(look->weak_below);
			enough = drained_enough(look);
			if (!enough) {
				roots_few_mark_more();
				enough = drained_enough(look);
			}
		}
		few_marks = false;
		(apart ? mark_together : mark_abandon)();
		mark_end();
	}
	os_map_soon(0);
	roots_few_end();
	return enough;
}

void look_few_dropped(void)
{
	if (few_marks) {
		(apart_now ? mark_together : mark_abandon)();
		mark_end();
	}
	few_marks = false;
	os_map_soon(0);
	roots_few_end();
}

bool cycle_look_few(const struct cycle_look *look) { return cycle_alone(few, (void *)look); }

enum abort_reason look_in_stop(const struct cycle_look *look)
{
	uint64_t root_bytes = 0;
	struct mark_totals t;
	if (!mark_begin())
		return ABORT_NO_MEMORY;
	if (veil_started()) /* lost blocks are read too */
		touch_lift();
	const bool apart = apart_now = look->apart && mark_apart();
	firm_now = false;
	roots_exact_frames(true);
	enum abort_reason reason = mark_for(look, &root_bytes);
	roots_exact_frames(false);
	(apart ? mark_together : mark_abandon)();
	mark_totals(&t);
	mark_end();
	if (reason == ABORT_NONE) {
		stats.marked_blocks = t.blocks;
		stats.marked_bytes = t.bytes;
		stats.root_bytes = root_bytes;
	}
	return reason;
}

void look_dropped(const struct cycle_look *look)
{
	(apart_now ? mark_together : mark_abandon)();
	if (firm_now)
		look->done();
	apart_now = firm_now = false;
}
