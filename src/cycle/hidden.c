/*
 * The search for hidden pointers, when free or realloc has proved that there was one.
 *
 * The program has just turned the hidden form into an address, so the form is still where it was as a rule. All that the marker
 * would read is read (roots_look, and every span that holds blocks) and compared, piece by piece:
 *
 *   each aligned word      complement, negation, byte order, high tags, shifts, digits of 30 bits, rotations, xor with the word before it, with its own
 *                          place (glibc's lists: place >> 12), or with another block of the same class (xor lists), and plain
 *                          addresses a little before the block or past it
 *   each half of a word    the low 32 bits of the address, or of the address shifted right by 2..5; offsets from its own place
 *   each byte              the address unaligned, in hexadecimal or decimal digits, or in base64
 *
 * The result is a guess: short forms can be there by chance. Nothing depends on it but a sentence.
 *
 * Pieces are copied without faulting, so protected or vanishing memory is left out. LOOK_MOST bytes of roots and as many of blocks are
 * read at most: all threads wait for the search.
 */
#include "cycle/hidden.h"
#include "heap/heap.h"
#include "roots/roots.h"
#include "base/text.h"
#include "os/os.h"

#include <string.h>

enum { PIECE = 64 << 10, NEAR = 256, SHIFT_MOST = 17 };
enum { NUMBERS = 1 << 20 };      /* 32 bits below this are anything: memory is full of small numbers */
enum { TEXTS = 4 };              /* hexadecimal small and capital, decimal, base64 */
#define LOOK_MOST ((size_t)256 << 20)
#define ADDRESS_BITS 48
enum { DIGIT_BITS = 30, DIGIT = (1 << DIGIT_BITS) - 1 };

static struct {
	uintptr_t p;
	size_t block, looked;
	uint64_t text[TEXTS];        /* the first eight characters of each form in digits */
	uint32_t low[6];             /* compressed forms */
	struct span *span;           /* of p; may be free by now */
	char digits[40];             /* here and not in a frame, where it would be found */
	struct trace best;
} sought;                            /* under the collect lock */
static LARGE uint64_t piece[PIECE / 8 + 1];

static void found(enum hidden how, unsigned detail)
{
	if (how < sought.best.how || (how == sought.best.how && detail < sought.best.detail))
		sought.best = (struct trace){ how, detail };
}

/* ---- needles ---- */

static uint64_t first_eight(const char *text)
{
	uint64_t x;
	memcpy(&x, text, 8);
	return x;
}

static void make_needles(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[8];
	char *text = sought.digits, *c = text;
	memcpy(bytes, &sought.p, 8);
	text_format(text, sizeof sought.digits, "%lx", sought.p);
	sought.text[0] = first_eight(text);
	for (; *c; c++)
		*c = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
	sought.text[1] = first_eight(text);
	text_format(text, sizeof sought.digits, "%lu", sought.p);
	sought.text[2] = first_eight(text);
	for (int i = 0; i < 2; i++) { /* six bytes are all that differs from address to address */
		uint32_t three = (uint32_t)bytes[3 * i] << 16 | (uint32_t)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
		for (int k = 0; k < 4; k++)
			text[4 * i + k] = digits[three >> (18 - 6 * k) & 63];
	}
	sought.text[3] = first_eight(text);
	for (unsigned i = 0; i < 4; i++)
		sought.low[i] = (uint32_t)(sought.p >> (i + 2));
	sought.low[4] = (uint32_t)(sought.p & UINT32_MAX) >> 3; /* from a base that is a multiple of 4 GiB */
	sought.low[5] = (uint32_t)(sought.p & UINT32_MAX) >> 4;
}

/* ---- what one word may be ---- */

static unsigned bits_in(uint64_t x) { return (unsigned)__builtin_popcountll(x); }

static void look_turned(uint64_t w)
{
	uintptr_t p = sought.p;
	if (bits_in(w) != bits_in(p) || w == p)
		return;
	int wider = __builtin_clzll(p) - __builtin_clzll(w | 1);
	if (wider > 0 && wider < SHIFT_MOST && w == p << wider)
		found(HIDDEN_SHIFTED, (unsigned)wider);
	for (unsigned r = 1; r < 64; r++)
		if (p << r && p >> (64 - r) && w == (p << r | p >> (64 - r))) /* else it is a shift */
			found(HIDDEN_ROTATED, r);
}

/* An address between two blocks' worth is nobody's, or it belongs to a block that is not ours: then it must not be its start. */
static bool starts_live_block(uintptr_t w)
{
	struct block_info b;
	return heap_find(w, &b) == FOUND_BLOCK && b.start == w;
}

static void look_near(uint64_t w)
{
	uintptr_t before = sought.p - w, past = w - (sought.p + sought.block);
	if (before - 1 < NEAR && !starts_live_block(w))
		found(HIDDEN_BEFORE, (unsigned)before);
	else if (past <= NEAR && !starts_live_block(w))
		found(HIDDEN_PAST, (unsigned)past);
}

/* A link of a list that keeps previous ^ next: in a block of p's class, and so is the other one. */
static void look_xor_list(uint64_t w, uintptr_t place)
{
	uintptr_t other = w ^ sought.p;
	struct block_info holder, there;
	if (!w || w % 16 || !arena_contains(other) || !arena_contains(place))
		return;
	if (heap_find(place, &holder) == FOUND_NOTHING || heap_find(other, &there) == FOUND_NOTHING)
		return;
	if (there.start == other && holder.start != other && holder.span->class == sought.span->class && there.span->class == sought.span->class)
		found(HIDDEN_XOR_LIST, 0);
}

static void look_at_word(uint64_t w, uint64_t before, uintptr_t place)
{
	const uintptr_t p = sought.p;
	if (w == ~p)
		found(HIDDEN_COMPLEMENT, 0);
	if (w == 0 - p)
		found(HIDDEN_NEGATED, 0);
	if (w == __builtin_bswap64(p))
		found(HIDDEN_SWAPPED, 0);
	if (w != p && (w ^ p) << (64 - ADDRESS_BITS) == 0)
		found(HIDDEN_TAGGED, (unsigned)(w >> ADDRESS_BITS));
	if (w == ((p & DIGIT) | p >> DIGIT_BITS << 32))
		found(HIDDEN_DIGITS, 0);
	int narrower = __builtin_clzll(w | 1) - __builtin_clzll(p);
	if (narrower > 0 && narrower < SHIFT_MOST && w == p >> narrower)
		found(HIDDEN_SHIFTED, (unsigned)narrower);
	look_turned(w);
	if ((w ^ before) == p && w && before)
		found(HIDDEN_XOR_BESIDE, 0);
	if ((w ^ p) == place || (w ^ p) == place >> 12)
		found(HIDDEN_XOR_PLACE, 0);
	look_xor_list(w, place);
	look_near(w);
}

static void look_at_half(uint32_t half, uintptr_t place, uint64_t whole)
{
	for (unsigned i = 0; i < NELEM(sought.low) && half >= NUMBERS; i++)
		if (half == sought.low[i])
			found(HIDDEN_COMPRESSED, i < 4 ? i + 2 : i - 1);
	if (half == (uint32_t)sought.p && half >= NUMBERS && whole >> 32 != sought.p >> 32)
		found(HIDDEN_COMPRESSED, 0);
	int32_t offset = (int32_t)half; /* small ones are sizes and counts */
	if ((offset > NEAR || offset < -NEAR) && place + (uintptr_t)(intptr_t)offset == sought.p)
		found(HIDDEN_RELATIVE, 0);
}

static void look_at_bytes(const uint8_t *at, uintptr_t place)
{
	uint64_t x;
	memcpy(&x, at, 8);
	if (x == sought.p && place % 8)
		found(HIDDEN_UNALIGNED, 0);
	for (unsigned i = 0; i < TEXTS; i++)
		if (UNLIKELY(x == sought.text[i]))
			found(i == 3 ? HIDDEN_BASE64 : i == 2 ? HIDDEN_DECIMAL : HIDDEN_HEX, 0);
}

/* ---- the walk ---- */

/* Pieces overlap by a word, which is the `before` of the next piece's first one. */
static void look_at_range(uintptr_t low, uintptr_t high)
{
	low = align_up(low, 8);
	for (uintptr_t at = low; at + 8 <= high && sought.looked < LOOK_MOST;) {
		size_t want = high - at < sizeof piece ? align_down(high - at, 8) : sizeof piece;
		long got = os_read_self(piece, at, want);
		if (got < 8) {
			at = align_down(at, OS_PAGE) + OS_PAGE; /* this page can't be read */
			continue;
		}
		size_t words = (size_t)got / 8;
		for (size_t i = 0; i < words; i++) {
			uintptr_t place = at + 8 * i;
			if (place - sought.p < sought.block || place - (uintptr_t)&sought < sizeof sought || place - (uintptr_t)piece < sizeof piece)
				continue;
			look_at_word(piece[i], i ? piece[i - 1] : 0, place);
			look_at_half((uint32_t)piece[i], place, piece[i]);
			look_at_half((uint32_t)(piece[i] >> 32), place + 4, UINT64_MAX);
			for (unsigned k = 0; k < 8 && i + 1 < words; k++)
				look_at_bytes((const uint8_t *)piece + 8 * i + k, place + k);
		}
		sought.looked += 8 * words;
		at += 8 * (words > 1 && at + 8 * words < high ? words - 1 : words);
	}
}

static void look_at_heap(void)
{
	for (uint32_t i = SPAN_FIRST, spans = span_count(); i < spans; i++) {
		const struct span *s = &arena.spans[i];
		if (s->kind == SPAN_SMALL)
			look_at_range(s->start, s->start + s->virgin * s->block);
		else if (s->kind == SPAN_LARGE)
			look_at_range(s->start, s->start + s->block);
	}
}

void hidden_look(uintptr_t p, size_t block, struct trace *trace)
{
	memset(&sought, 0, sizeof sought);
	sought.p = p;
	sought.block = block;
	sought.span = arena_span(p);
	sought.best.how = HIDDEN_NOWHERE;
	make_needles();
	look_at_heap();
	sought.looked = 0;
	roots_look(look_at_range);
	*trace = sought.best;
}

const char *hidden_text(char *buf, size_t cap, const struct trace *t)
{
	static const char *const text[] = {
		[HIDDEN_COMPLEMENT] = "kept as its complement",
		[HIDDEN_NEGATED] = "kept negated",
		[HIDDEN_SWAPPED] = "kept in the other byte order",
		[HIDDEN_TAGGED] = "tagged in its high bits (0x%x) (tagged=48 keeps such)",
		[HIDDEN_SHIFTED] = "shifted by %u bits",
		[HIDDEN_DIGITS] = "kept in digits of 30 bits (integers=1 keeps such)",
		[HIDDEN_ROTATED] = "rotated by %u bits",
		[HIDDEN_XOR_BESIDE] = "xor-ed with the word beside it",
		[HIDDEN_XOR_PLACE] = "xor-ed with the place it is kept in",
		[HIDDEN_BASE64] = "kept as base64 text",
		[HIDDEN_HEX] = "kept as hexadecimal text",
		[HIDDEN_DECIMAL] = "kept as decimal text",
		[HIDDEN_UNALIGNED] = "kept at an address that is no multiple of 8 (align=1 looks there)",
		[HIDDEN_RELATIVE] = "kept as a 32-bit offset from where it stands",
		[HIDDEN_COMPRESSED] = "compressed to 32 bits (shifted by %u)",
		[HIDDEN_XOR_LIST] = "a link of an xor list",
		[HIDDEN_BEFORE] = "kept as an offset %u bytes before the block (before=N keeps such)",
		[HIDDEN_PAST] = "kept as an offset %u bytes past the end of the block",
		[HIDDEN_NOWHERE] = "held outside of memory (kernel, pipe, file, another process) or transformed beyond recognition",
		[HIDDEN_UNSOUGHT] = "not looked for",
	};
	/* One argument at most, and text_format takes no format that the compiler can't see. */
	const char *rest = text[t->how], *sign = strchr(rest, '%');
	if (!sign)
		text_format(buf, cap, "%s", rest);
	else if (sign[1] == 'x')
		text_format(buf, cap, "%.*s%x%s", (int)(sign - rest), rest, t->detail, sign + 2);
	else
		text_format(buf, cap, "%.*s%u%s", (int)(sign - rest), rest, t->detail, sign + 2);
	return buf;
}
