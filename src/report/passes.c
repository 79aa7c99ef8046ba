/*
 * Passes over all blocks, 64 slots at a time: most want few blocks or none.
 *
 *   64 state bytes ─▶ a bit each, eight at once ─▶ less a word of one of the sets ─▶ want() of what is left
 */
#include "report/find.h"

/* Bit i: the block at state[i] is lost, or marked. n of them, at most 64. */
static uint64_t lost_or_marked(const uint8_t *state, uint32_t n, bool lost)
{
	const uint64_t top = 0x8080808080808080u;
	uint64_t bits = 0;
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t w = 0;
		__builtin_memcpy(&w, state + i, n - i < 8 ? n - i : 8);
		const uint64_t marked = w & w << 1 & top, block = (w | w << 1) & top; /* STATE_MARKED is both upper bits, a block has either */
		bits |= (((lost ? block & ~marked : marked) >> 7) * 0x0102040810204080u >> 56) << i;
	}
	return bits;
}

uint64_t find_unmarked(const struct span *s, uint32_t from) { return lost_or_marked(s->state + from, s->slots - from < 64 ? s->slots - from : 64, true); }

static uint64_t among_slots(const struct span *s, uint32_t from, enum among among)
{
	const uint32_t n = s->slots - from < 64 ? s->slots - from : 64;
	const uint64_t bits = lost_or_marked(s->state + from, n, among == LOST);
	if (among < NOT_FIRM || !bits)
		return bits;
	return bits & ~*find_word(among == NOT_FIRM ? SET_FIRM : SET_PLAIN, (struct place){ s, from });
}

void find_each(enum among among, bool (*want)(struct place p), void (*fn)(struct place p))
{
	for (uint32_t i = 0; i < find_spans(); i++) {
		const struct span *s = &arena.spans[i];
		for (uint32_t from = 0; span_holds_blocks(s) && from < s->slots; from += 64)
			for (uint64_t left = among_slots(s, from, among); left; left &= left - 1) {
				const struct place p = { s, from + (uint32_t)__builtin_ctzll(left) };
				if (want(p))
					fn(p);
			}
	}
}

void find_each_backwards(enum among among, bool (*want)(struct place p), void (*fn)(struct place p))
{
	for (uint32_t i = find_spans(); i-- > 0;) {
		const struct span *s = &arena.spans[i];
		for (uint32_t from = span_holds_blocks(s) ? align_up(s->slots, 64) : 0; from > 0;) {
			from -= 64;
			for (uint64_t left = among_slots(s, from, among); left;) {
				const uint32_t bit = log2_floor(left);
				const struct place p = { s, from + bit };
				left &= ~(1ull << bit);
				if (want(p))
					fn(p);
			}
		}
	}
}

void find_put_marked(enum set which)
{
	for (uint32_t i = 0; i < find_spans(); i++)
		for (uint32_t from = 0; span_holds_blocks(&arena.spans[i]) && from < arena.spans[i].slots; from += 64)
			*find_word(which, (struct place){ &arena.spans[i], from }) |= among_slots(&arena.spans[i], from, MARKED);
}
