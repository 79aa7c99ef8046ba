/*
 * The search for the hidden form of an address: each form is told for what it is, and what is no trick for none. It reads all
 * memory of the test, so a form may stand in the block that holds it and nowhere else.
 */
#include "heap_watch.h"

#include "cycle/hidden.h"

static uintptr_t target;
static uint64_t *holder; /* a live block: what the search finds stands in it */

static enum hidden look(unsigned *detail)
{
	struct trace t;
	hidden_look(target, span_of((void *)target)->block, &t);
	if (detail)
		*detail = t.detail;
	return t.how;
}

static void hide_begin(void)
{
	static void *between;
	heap_begin();
	holder = heap_malloc(400);
	memset(holder, 0, 400);
	for (unsigned i = 0; i < 9; i++) /* away from the start of the arena, whose low bits are small numbers */
		between = heap_malloc(1 << 20);
	for (int tries = 0; tries < 8; tries++) { /* a short form of one address in a hundred stands somewhere by chance */
		target = (uintptr_t)heap_malloc(200);
		if (look(NULL) == HIDDEN_NOWHERE)
			break;
	}
	(void)between;
}

TestSuite(hidden, .init = hide_begin, .timeout = 120);

/* One at a time and straight into its place: a table of them would be found first. */
static __attribute__((noinline)) uint64_t form(unsigned i)
{
	uintptr_t place = (uintptr_t)&holder[9];
	switch (i) {
	case 0: return ~target;
	case 1: return 0 - target;
	case 2: return __builtin_bswap64(target);
	case 3: return target | 0x7ull << 60;
	case 4: return target << 12;
	case 5: return target >> 4;
	case 6: return target << 37 | target >> 27;
	case 7: return place ^ target;
	case 8: return place >> 12 ^ target;
	case 9: return target - 40;
	default: return target + span_of((void *)target)->block + 24;
	}
}

Test(hidden, forms_of_one_word_are_told_apart)
{
	static const struct trace expected[] = {
		{ HIDDEN_COMPLEMENT, 0 }, { HIDDEN_NEGATED, 0 }, { HIDDEN_SWAPPED, 0 }, { HIDDEN_TAGGED, 0x7000 }, { HIDDEN_SHIFTED, 12 },
		{ HIDDEN_SHIFTED, 4 }, { HIDDEN_ROTATED, 37 }, { HIDDEN_XOR_PLACE, 0 }, { HIDDEN_XOR_PLACE, 0 }, { HIDDEN_BEFORE, 40 }, { HIDDEN_PAST, 24 },
	};
	unsigned detail;
	const enum hidden nothing = look(&detail);
	cr_assert_eq(nothing, HIDDEN_NOWHERE, "nothing is taken for form %d, %u", (int)nothing, detail);
	for (unsigned i = 0; i < NELEM(expected); i++) {
		char text[128];
		holder[9] = form(i);
		enum hidden how = look(&detail);
		struct trace t = { how, detail };
		cr_assert(how == expected[i].how && detail == expected[i].detail, "form %u is taken for: %s", i, hidden_text(text, sizeof text, &t));
		holder[9] = 0;
	}
	holder[9] = 0x123456789abcdefull;
	holder[10] = 0x123456789abcdefull ^ target;
	cr_assert_eq(look(NULL), HIDDEN_XOR_BESIDE);
}

Test(hidden, a_plain_pointer_is_no_trick)
{
	holder[9] = target;
	holder[10] = target + 8;
	cr_assert_eq(look(NULL), HIDDEN_NOWHERE);
}

Test(hidden, texts_and_halves)
{
	char text[40];
	snprintf(text, sizeof text, "x%lx", target);
	memcpy(holder + 9, text, strlen(text));
	cr_assert_eq(look(NULL), HIDDEN_HEX);
	memset(holder, 0, 400);
	snprintf(text, sizeof text, "%lX", target);
	memcpy(holder + 9, text, strlen(text));
	cr_assert_eq(look(NULL), HIDDEN_HEX);
	memset(holder, 0, 400);
	snprintf(text, sizeof text, "%lu", target);
	memcpy((char *)holder + 75, text, strlen(text));
	cr_assert_eq(look(NULL), HIDDEN_DECIMAL);
	memset(holder, 0, 400);
	memset(text, 0, sizeof text);
	memcpy((char *)holder + 75, &target, 8);
	cr_assert_eq(look(NULL), HIDDEN_UNALIGNED);
	memset(holder, 0, 400);
	unsigned detail;
	uint32_t half = (uint32_t)(target >> 3);
	memcpy((char *)holder + 76, &half, 4);
	cr_assert_eq(look(&detail), HIDDEN_COMPRESSED);
	cr_assert_eq(detail, 3);
	memset(holder, 0, 400);
	int32_t offset = (int32_t)(target - ((uintptr_t)holder + 76));
	memcpy((char *)holder + 76, &offset, 4);
	cr_assert_eq(look(NULL), HIDDEN_RELATIVE);
}
