/*
 * Offsets that are none: small numbers hold blocks.
 *
 * The marker takes a word for an offset when it is the distance from its block's start to another's (mark/filter.h), and in doubt memory is kept.
 * A report that did so would miss the leaks that numbers happen to lead to: a tenth of them in a program that keeps numbers below its heap's size
 * or, as compilers do, the size of a page (4096 leads from any block of 64 bytes to another one). But whoever keeps blocks by offset keeps all of a
 * kind so. Hence two questions about a word that leads to a block that offsets alone hold:
 *
 *   1. the block's site: more of it are lost than are held so       the word is a number
 *   2. the word's *field*, which is the place in its block, the block's size and who called malloc for it (of blocks above FIELD_MOST bytes,
 *      which are tables, the place does not matter): of all words in reachable blocks that have the field and the form of an offset,
 *      more lead elsewhere (to what pointers hold as well or the first question calls lost, to a free slot, into the middle of something)
 *                                                                   it holds numbers
 *
 * What other words lead to is kept with all that hangs off it, by pointers and by such words; the rest is lost. What is missed is what is alone of its kind
 * on both sides, which is rare in the measure in which hits are. In doubt nothing is lost: without memory for fields, and where offsets lead on
 * from offsets more than ROUNDS times.
 */
#include "base/fault.h"
#include "heap/sites.h"
#include "mark/mark.h"
#include "os/os.h"
#include "report/find.h"

enum { FIELD_MOST = 512, FIRST_BYTES = 64 * 1024, BUFFER_WORDS = 512, ROUNDS = 16 };

struct field {
	uint64_t key;              /* 0: empty */
	uint32_t alone, elsewhere; /* words that lead to a block that offsets alone hold, and others; they stop at the largest number */
};
static struct {
	struct field *at;
	uint32_t places, count;    /* a power of two; at most half of them are taken */
	bool cut;
} fields;

static bool by_offset(struct place p)
{
	return state_is_marked(p.s->state[p.slot]) && !find_has(SET_PLAIN, p) && !find_has(SET_SEEN, p);
}

/* ---- by site ---- */

static uint64_t held, doubtful; /* blocks that offsets alone hold; of those, what the first question leaves */

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

static bool more_are_lost(struct place p)
{
	const struct site_tally *t = gather_tally(p);
	return t && t->lost > t->by_offset;
}
static void tally_doubtful(struct place p) { doubtful += !more_are_lost(p); }

/* ---- fields ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15ull;
	return x ^ x >> 32;
}

static uint64_t field_of(struct place holder, size_t at)
{
	uint64_t bytes = block_bytes(holder.s, holder.slot), caller = sites_address(sites_of(holder.s, holder.slot));
	return mix(mix(mix(1, caller), bytes), bytes <= FIELD_MOST ? at : 0) | 1;
}

static struct field *find_field(uint64_t key)
{
	uint32_t i = (uint32_t)(key >> 8) & (fields.places - 1);
	while (fields.at[i].key && fields.at[i].key != key)
		i = (i + 1) & (fields.places - 1);
	return &fields.at[i];
}

static void drop_fields(void)
{
	if (fields.at)
		os_unmap(fields.at, fields.places * sizeof *fields.at);
	fields.at = NULL;
	fields.places = 0;
}

static bool make_fields(uint32_t places)
{
	const typeof(fields) old = fields;
	struct field *bigger = os_map(places * sizeof *bigger);
	if (!bigger)
		return false;
	fields.at = bigger;
	fields.places = places;
	for (uint32_t i = 0; i < old.places; i++)
		if (old.at[i].key)
			*find_field(old.at[i].key) = old.at[i];
	if (old.at)
		os_unmap(old.at, old.places * sizeof *old.at);
	return true;
}

static void up(uint32_t *n) { *n += *n != UINT32_MAX; }

/* ---- words ---- */

/* Calls fn for each word of p that has the form of an offset, with the block to whose start it leads, if any (s NULL: none). */
static void each_offset(struct place p, void (*fn)(struct place holder, size_t at, struct place to))
{
	static LARGE uintptr_t buffer[BUFFER_WORDS];
	uintptr_t start = place_address(p);
	for (size_t from = 0, words = (mark_block_end(p.s, p.slot) - start) / 8, n; from < words; from += n) {
		n = words - from < BUFFER_WORDS ? words - from : BUFFER_WORDS;
		for (size_t i = 0; mark_read(start + 8 * from, n, buffer) && i < n; i++) {
			struct place to;
			uintptr_t target = start + buffer[i];
			if (!buffer[i] || buffer[i] % 16 || !arena_contains(target))
				continue;
			if (!find_slot(target, &to) || place_address(to) != target)
				to.s = NULL;
			fn(p, 8 * (from + i), to);
		}
	}
}

static bool alone(struct place to) { return to.s && by_offset(to) && !more_are_lost(to); }

static void count_alone(struct place holder, size_t at, struct place to)
{
	if (!alone(to) || fields.cut)
		return;
	if (fields.count == fields.places / 2 && !make_fields(2 * fields.places)) {
		fields.cut = true;
		return;
	}
	uint64_t key = field_of(holder, at);
	struct field *f = find_field(key);
	fields.count += !f->key;
	f->key = key;
	up(&f->alone);
}
static void count_elsewhere(struct place holder, size_t at, struct place to)
{
	struct field *f = alone(to) ? NULL : find_field(field_of(holder, at));
	if (f && f->key)
		up(&f->elsewhere);
}

static bool is_block(struct place p) { return state_is_marked(p.s->state[p.slot]) && !find_has(SET_SEEN, p); }
static void look_for_alone(struct place p) { each_offset(p, count_alone); }
static void look_elsewhere(struct place p) { each_offset(p, count_elsewhere); }

/* ---- what is kept ---- */

static bool more;
static bool kept(struct place p) { return by_offset(p) && find_has(SET_FIRM, p); }
static bool left(struct place p) { return by_offset(p) && !find_has(SET_FIRM, p); }
static bool left_at(uintptr_t w, struct place *p) { return find_slot(w, p) && left(*p); }
static bool enter(struct place p) { return find_put(SET_FIRM, p); }
static void keep(struct place p) { find_put(SET_FIRM, p); }

static void keep_from(struct place holder, size_t at, struct place to)
{
	static const struct walk pointers = { left_at, enter, kept, NOT_PLAIN };
	if (!alone(to) || !left(to))
		return;
	const struct field *f = find_field(field_of(holder, at));
	if (f->elsewhere > f->alone && !fault(FAULT_numbers_hold))
		return;
	keep(to);
	more = true;
	find_walk(&pointers, to);
}
static bool has_pointer(struct place p) { return is_block(p) && find_has(SET_PLAIN, p); }
static void follow(struct place p) { each_offset(p, keep_from); }

static void not_held(struct place p) { p.s->state[p.slot] = state_unmarked(p.s->state[p.slot]); /* as mark_abandon would leave it */ }

/* false: who is kept is not known. */
static bool keep_some(void)
{
	fields = (typeof(fields)){ 0 };
	more = false;
	if (!make_fields(FIRST_BYTES / sizeof(struct field)))
		return false;
	find_each(MARKED, is_block, look_for_alone);
	if (!fields.cut) {
		find_each(MARKED, is_block, look_elsewhere);
		find_each(MARKED, has_pointer, follow);
		for (unsigned round = 0; more && round < ROUNDS; round++) {
			more = false;
			find_each(NOT_PLAIN, kept, follow);
		}
	}
	bool known = !fields.cut && !more;
	drop_fields();
	return known;
}

void offsets_judge(void)
{
	held = doubtful = 0;
	find_each(NOT_PLAIN, by_offset, tally_held);
	if (!held)
		return;
	find_each(LOST, place_lost, tally_lost);
	find_each(NOT_PLAIN, by_offset, tally_doubtful);
	find_each(NOT_PLAIN, left, !doubtful || keep_some() ? not_held : keep);
}
