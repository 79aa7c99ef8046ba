/*
 * Offsets that are none: small numbers hold blocks.
 *
 * The marker takes a word for an offset when it is the distance from its block's start to another's (mark/filter.h), and in doubt memory is kept.
 * A report that did so would miss a tenth of the leaks of a program that keeps numbers below its heap's size: each lost block has its
 * chance to stand where one of them points. But whoever keeps blocks by offset keeps all of a kind so. Hence, of blocks that offsets alone hold:
 *
 *   more of the site are lost      the offsets are numbers: these blocks are lost too
 *   else                           the program keeps blocks so: they are reachable
 *
 * A site with one block that a number hits is missed, which is rare in the measure in which hits are.
 */
#include "report/find.h"

static bool by_offset(struct place p)
{
	return state_is_marked(p.s->state[p.slot]) && !find_has(SET_PLAIN, p) && !find_has(SET_SEEN, p);
}

static uint64_t held;

static void tally_held(struct place p)
{
	struct site_tally *t = gather_tally(p);
	held++;
	if (t)
		t->by_offset++;
}

static void tally_lost(struct place p)
{
	struct site_tally *t = gather_tally(p);
	if (t)
		t->lost++;
}

static void judge(struct place p)
{
	const struct site_tally *t = gather_tally(p);
	if (t && t->lost > t->by_offset)
		p.s->state[p.slot] = (uint8_t)(STATE_ALLOCATED | (p.s->state[p.slot] & STATE_STAMP)); /* as mark_abandon would leave it */
	else
		find_put(SET_FIRM, p);
}

void offsets_judge(void)
{
	held = 0;
	find_each(by_offset, tally_held);
	if (!held)
		return;
	find_each(place_lost, tally_lost);
	find_each(by_offset, judge);
}
