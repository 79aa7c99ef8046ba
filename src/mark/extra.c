/*
 * Words that are pointers in another dress: a second pass over a piece that has just been scanned and lies in the cache. For odd
 * and mangled words, which count by default, the loops of filter.h tell whether that is worth it.
 *
 *   tagged=N    the low N bits lead into the arena, the others are a tag: engines and lock-free lists keep counters there
 *   align=4     words at a multiple of 4: packed structures. Ruby keeps the read buffer of each file in one. The upper half of such a
 *               pointer is the lower half of a word that is a multiple of 8, and equal to the window's (one value, two across a border
 *               of 4 GiB): the loops look for that
 *   align=2, 1  words at every second or each byte: allocators of a program's own that do not align, and structures packed to
 *               bytes. MoarVM keeps what its compiler works on in such memory. Six more passes over each piece, so by option only
 *   mangled=1   glibc's setjmp rotates and xors rbp, rsp and the return address (PTR_MANGLE), so that a pointer which the compiler
 *               kept in rbp, or the stack of a parked coroutine, is nowhere to be seen. A word w that was mangled has in its low 17
 *               bits those by which the guard's top bits differ from a user address's, zeros; the test for that finds one other
 *               word in 131,072. No jmp_buf fits into blocks below JMP_BUF bytes: those are left out.
 *   integers=1  what languages make of an address: Ruby, OCaml and SBCL shift it by one bit, Lisps by two, Chez Scheme by three, and low
 *               bits are a tag; CPython has digits of 30 bits in 32. Upper halves tell: each form has its own few (the lowest
 *               address of the window, shifted, is above all others), so 64 bits must fit as they must in a pointer
 *   before=N    words up to N bytes before a block's start: one-based arrays of numerical code
 *
 * A word may be pushed twice, never more than EXTRA_FACTOR times in all: the room behind marker.full is made for that.
 */
#include "mark/extra.h"
#include "base/fault.h"
#include "base/options.h"
#include "os/os.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { ROTATED = 17 };
enum { DIGIT_BITS = 30, HASH_MOST = 40 };
#define DIGIT (((uintptr_t)1 << DIGIT_BITS) - 1)
typedef uint64_t __attribute__((aligned(1), may_alias)) odd_word_t;

static uintptr_t unmangled(uintptr_t w) { return (w >> ROTATED | w << (64 - ROTATED)) ^ marker.guard; }
static bool may_be_mangled(uintptr_t w) { return (int64_t)(w & MANGLED_LOW) == marker.mangled_mark; }
static bool inside(uintptr_t w) { return w - marker.base < marker.limit; }

static inline uintptr_t *extra_word(uintptr_t w, bool odd, uintptr_t *top)
{
	uintptr_t bare = w & marker.tag_mask;
	if (inside(bare) && (odd || bare != w))
		*top++ = bare;
	return top;
}

READS_ANYTHING static uintptr_t *extra_scalar(const odd_word_t *p, const odd_word_t *end, bool odd, uintptr_t *top)
{
	for (; p < end; p++)
		top = extra_word(*p, odd, top);
	return top;
}

#ifdef __x86_64__
/* 16 words a turn: few of them are worth a look. */
__attribute__((target("avx2"))) READS_ANYTHING static uintptr_t *extra_avx2(const odd_word_t *p, const odd_word_t *end, bool odd,
                                                                            uintptr_t *top)
{
	const __m256i flip = _mm256_set1_epi64x(INT64_MIN);
	const __m256i base = _mm256_set1_epi64x((long long)(marker.base ^ (uintptr_t)INT64_MIN));
	const __m256i limit = _mm256_xor_si256(_mm256_set1_epi64x((long long)marker.limit), flip);
	const __m256i mask = _mm256_set1_epi64x((long long)marker.tag_mask);
	for (; p + 16 <= end; p += 16) {
		unsigned hits = 0;
		for (int i = 0; i < 4; i++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + 4 * i));
			__m256i bare = _mm256_and_si256(w, mask);
			__m256i in = _mm256_cmpgt_epi64(limit, _mm256_sub_epi64(bare, base));
			if (!odd)
				in = _mm256_andnot_si256(_mm256_cmpeq_epi64(bare, w), in);
			hits |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << (4 * i);
		}
		for (; hits; hits &= hits - 1)
			top = extra_word(p[__builtin_ctz(hits)], odd, top);
	}
	return extra_scalar(p, end, odd, top);
}
#else
static uintptr_t *extra_avx2(const odd_word_t *p, const odd_word_t *end, bool odd, uintptr_t *top)
{
	return extra_scalar(p, end, odd, top);
}
#endif

READS_ANYTHING static uintptr_t *extra_before(const word_t *p, const word_t *end, uintptr_t *top)
{
	for (; p < end; p++)
		if (UNLIKELY(inside(*p + marker.before)))
			*top++ = *p + marker.before;
	return top;
}

uintptr_t *extra_scan(const word_t *p, const word_t *end, uintptr_t *top)
{
	uintptr_t *(*scan)(const odd_word_t *, const odd_word_t *, bool, uintptr_t *) = marker.avx2 ? extra_avx2 : extra_scalar;
	const odd_word_t *low = (const odd_word_t *)(const void *)p, *high = (const odd_word_t *)(const void *)end;
	if (marker.tag_mask != UINTPTR_MAX)
		top = scan(low, high, false, top);
	if (marker.before)
		top = extra_before(p, end, top);
	for (unsigned at = marker.odd_step; at < 8 && low < high; at += marker.odd_step)
		top = scan((const odd_word_t *)((uintptr_t)low + at), (const odd_word_t *)((uintptr_t)high - 8 + at), true, top);
	return top;
}

READS_ANYTHING uintptr_t *extra_mangled(const word_t *p, const word_t *end, uintptr_t *top)
{
	for (; p < end; p++)
		if (UNLIKELY(may_be_mangled(*p)) && inside(unmangled(*p)))
			*top++ = marker.setting_aside ? aside_start(unmangled(*p)) : unmangled(*p); /* a register, saved */
	return top;
}

static uintptr_t digits_of(uintptr_t w) { return w & ~DIGIT & UINT32_MAX ? 0 : (w & DIGIT) | w >> 32 << DIGIT_BITS; }

bool mark_is_integer(uintptr_t w)
{
	bool is = arena_contains(digits_of(w));
	for (unsigned shift = 1; shift <= INTEGER_SHIFTS; shift++)
		is |= arena_contains(w >> shift);
	return is && options.integers && !fault(FAULT_no_integers);
}

static uintptr_t *integer_word(uintptr_t w, uintptr_t *top)
{
	const uintptr_t digits = digits_of(w);
	for (unsigned shift = 1; shift <= INTEGER_SHIFTS; shift++)
		if (inside(w >> shift))
			*top++ = w >> shift;
	if (inside(digits))
		*top++ = digits;
	return top;
}

READS_ANYTHING uintptr_t *extra_integers(const word_t *p, const word_t *end, uintptr_t *top)
{
	for (; marker.integers && p < end; p++)
		if (UNLIKELY(marker.integers >> (*p >> marker.integers_hash & 63) & 1))
			top = integer_word(*p, top);
	return top;
}

READS_ANYTHING uintptr_t *extra_odd(const word_t *p, const word_t *end, uintptr_t *top)
{
	for (const word_t *q = p + 1; q < end; q++)
		if (UNLIKELY((uint32_t)*q - marker.half < marker.halves))
			top = extra_word(*(const odd_word_t *)((uintptr_t)q - 4), true, top);
	return top;
}

uintptr_t *extra_seam(const void *at, uintptr_t *top)
{
	uintptr_t w;
	__builtin_memcpy(&w, at, sizeof w);
	return extra_word(w, true, top);
}

/* The bits that the scalar loops look up: those of each form. false: small numbers, negative ones or plain pointers share them. */
static bool integers_hashed(unsigned hash)
{
	const uintptr_t last = marker.base + marker.limit - 1;
	uint64_t plain = 1 | (uint64_t)1 << 63, bits = 0;
	for (unsigned shift = 0; shift <= INTEGER_SHIFTS; shift++)
		for (uintptr_t at = marker.base << shift >> hash, n = 0; at <= last << shift >> hash && n < 64; at++, n++)
			*(shift ? &bits : &plain) |= (uint64_t)1 << (at & 63);
	marker.integers = bits;
	marker.integers_hash = hash;
	return !(bits & plain);
}

static void integers_begin(void)
{
	const bool wanted = options.integers && marker.limit && !fault(FAULT_no_integers);
	for (unsigned i = 0; i < INTEGER_SHIFTS; i++) {
		const uint32_t from = (uint32_t)(marker.base << (i + 1) >> 32);
		marker.integer_from[i] = from;
		marker.integer_count[i] = wanted ? (uint32_t)((marker.base + marker.limit - 1) << (i + 1) >> 32) - from + 1 : 0;
	}
	for (unsigned hash = 32; wanted && hash <= HASH_MOST && !integers_hashed(hash); hash++)
		;
	if (!wanted)
		marker.integers = 0;
}

void extra_begin(void)
{
	integers_begin();
	marker.before = fault(FAULT_no_before) ? 0 : options.before;
	marker.tag_mask = fault(FAULT_no_tagged) ? UINTPTR_MAX : options_tag_mask();
	marker.odd_words = options.align && !fault(FAULT_no_align);
	marker.odd_step = marker.odd_words ? 8u >> options.align : 8;
	marker.guard = os_pointer_guard();
	marker.mangled = options.mangled && marker.guard && !fault(FAULT_no_mangled);
	marker.mangled_mark = marker.mangled ? (int64_t)(marker.guard >> (64 - ROTATED)) : -1;
	marker.mangled_from = marker.mangled ? JMP_BUF : SIZE_MAX;
	marker.half = (uint32_t)(marker.base >> 32);
	marker.halves = marker.odd_words ? (uint32_t)((marker.base + marker.limit - 1) >> 32) - marker.half + 1 : 0;
	marker.extra = marker.tag_mask != UINTPTR_MAX || marker.odd_step < 4 || marker.before;
}
