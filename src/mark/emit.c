/*
 * From marks to the dead set, and back to unmarked bytes.
 *
 * One pass over all spans, eight state bytes at a time: bit 7 and bit 6 of a byte both set is a mark (bit 6 is cleared), one
 * of the two alone is an allocated, altered or condemned block that was not reached: dead, unless its stamp is the current one. Spans
 * without a dead slot leave no record.
 *
 * The mapping for the records is sized by a first pass to what it would take if every span had a dead slot (an eighth of a byte
 * a slot: untouched pages cost nothing), kept between cycles while it is large enough. It is shared memory, so that a
 * snapshot child can fill it.
 */
#include "mark/inside.h"
#include "os/os.h"

#include <string.h>

#define EACH_BYTE 0x0101010101010101u

/* Clears the marks among eight bytes. Result: bit i is set when byte i is dead. */
static uint64_t judge_eight(uint8_t *state, uint64_t stamps)
{
	uint64_t x, high, mid, old;
	memcpy(&x, state, 8);
	if (!x)
		return 0;
	high = x & 0x80 * EACH_BYTE;
	mid = (x & 0x40 * EACH_BYTE) << 1;
	old = (((x ^ stamps) & 0x3F * EACH_BYTE) + 0x3F * EACH_BYTE) & 0x40 * EACH_BYTE; /* bit 6: the stamps differ */
	if (high & mid) {
		/* The mark is bit 6, but bit 7 of an altered block's byte, whose stamp is 0. */
		const uint64_t marks = (high & mid) >> 1, stamped = ((x & 0x3F * EACH_BYTE) + 0x3F * EACH_BYTE) & marks;
		x &= ~(stamped | (marks & ~stamped) << 1);
		memcpy(state, &x, 8);
	}
	uint64_t dead = (high ^ mid) & old << 1;
	return (dead >> 7) * 0x0102040810204080u >> 56; /* byte i's bit goes to bit i: no two partial products meet */
}

static uint64_t judge_one(uint8_t *state, uint8_t stamp)
{
	uint8_t b = *state;
	if (state_is_marked(b)) {
		*state = state_unmarked(b);
		return 0;
	}
	return state_is_block(b) && (b & STATE_STAMP) != stamp;
}

/* Judges one span; bits may be NULL when only the marks are to be cleared. Result: any dead. */
static bool judge_span(struct span *s, uint8_t stamp, uint64_t *bits)
{
	uint64_t any = 0, word = 0;
	uint32_t i = 0;
	while (i < s->slots) {
		if (s->slots - i >= 8) {
			word |= judge_eight(s->state + i, stamp * EACH_BYTE) << (i & 63);
			i += 8;
		} else {
			word |= judge_one(s->state + i, stamp) << (i & 63);
			i++;
		}
		if (i & 63 && i < s->slots)
			continue;
		if (bits)
			bits[(i - 1) / 64] = word;
		any |= word;
		word = 0;
	}
	return any != 0;
}

void mark_abandon(void)
{
	uint32_t spans = span_count();
	for (uint32_t i = 0; i < spans; i++)
		if (span_holds_blocks(&arena.spans[i]))
			judge_span(&arena.spans[i], 0, NULL);
}

static size_t record_size(const struct span *s) { return sizeof(struct dead_span) + (s->slots + 63) / 64 * 8; }

static bool make_room(struct dead_set *set, size_t need)
{
	set->size = 0;
	if (set->bytes && set->room >= need)
		return true;
	if (set->bytes)
		os_unmap(set->bytes, set->room);
	size_t room = align_up(need + need / 4 + 1, PAGE); /* a quarter more, so that a growing heap does not remap each time */
	set->bytes = os_map(room); /* private: after a fork the child must not write into its parent's verdict */
	set->room = set->bytes ? room : 0;
	return set->bytes;
}

bool mark_emit(struct dead_set *set, uint8_t stamp)
{
	uint32_t spans = span_count();
	size_t need = 0;
	for (uint32_t i = 0; i < spans; i++)
		if (span_holds_blocks(&arena.spans[i]))
			need += record_size(&arena.spans[i]);
	if (!make_room(set, need)) {
		mark_abandon();
		return false;
	}
	for (uint32_t i = 0; i < spans; i++) {
		struct span *s = &arena.spans[i];
		if (!span_holds_blocks(s))
			continue;
		struct dead_span *d = (struct dead_span *)(set->bytes + set->size);
		if (!judge_span(s, stamp, d->bits))
			continue;
		d->span = s;
		d->state = s->state;
		d->block = s->block;
		d->slots = s->slots;
		d->class = s->class;
		set->size += record_size(s);
	}
	return true;
}
