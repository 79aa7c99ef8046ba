/*
 * Which words of a piece of memory lead into the arena: the loops that see every byte of the live heap. For mark.c alone, which
 * inlines them. Scalar for small blocks; AVX2 from 256 bytes up, chosen once a mark. All loops also see whether any word may be the
 * upper half of a pointer at an odd place or one that a language keeps as an integer (extra.c), the vector loops whether one may be mangled; where the scalar loops run, that is a
 * second pass.
 */
#ifndef CGC_MARK_FILTER_H
#define CGC_MARK_FILTER_H

#include "mark/extra.h"

#ifdef __x86_64__ /* the vector filter is the only code of a machine here; others run the scalar one */
#include <cpuid.h>
#include <immintrin.h>
#endif

enum {
	SLOT_STEP = 16,        /* every block begins and ends at a multiple of this */
	VECTOR_FROM = 200      /* below this the vector loop's set-up costs more than it saves, and no jmp_buf fits */
};

#define INLINE static inline __attribute__((always_inline)) READS_ANYTHING

/* The slot behind `top` is always writable: the word is stored first and kept if it passes. No branch to predict. */
INLINE uintptr_t *filter(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t base, size_t limit)
{
	const uint32_t half = marker.half, halves = marker.halves;
	const uint64_t integers = marker.integers;
	const unsigned hash = marker.integers_hash;
	uint64_t integer = 0;
	bool odd = false;
	for (const word_t *q = p; q < end; q++) {
		uintptr_t w = *q;
		*top = w;
		top += w - base < limit;
		odd |= (uint32_t)w - half < halves;
		integer |= integers >> (w >> hash & 63);
	}
	if (UNLIKELY(integer & 1))
		top = extra_integers(p, end, top);
	return UNLIKELY(odd) ? extra_odd(p, end, top) : top;
}

#ifdef __x86_64__
enum { OSXSAVE = 1u << 27 /* leaf 1, ecx */, AVX2 = 1u << 5 /* leaf 7, ebx */, OSPKE = 1u << 4 /* leaf 7, ecx */,
       YMM = 6 /* XCR0: the kernel saves both halves */ };

static bool keys_known; /* by vectors(): the system has protection keys, so there is a register of this thread's rights */

static void keys_restore(uint32_t rights)
{
	if (UNLIKELY(keys_known))
		__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/* Opens pages of every protection key to this thread: what the program gave up is a root like other memory. Result: its rights before,
 * for keys_restore. (RDPKRU and WRPKRU by their bytes: an assembler may not know them.) */
static uint32_t keys_open(void)
{
	uint32_t rights = 0, high;
	if (UNLIKELY(keys_known))
		__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights), "=d"(high) : "c"(0));
	keys_restore(0);
	return rights;
}

/* Does the machine have AVX2, and the kernel keep its registers? __builtin_cpu_supports asks the processor a score of things, in every process at
 * load, and a virtual machine stops for each: a twentieth of what a short process takes. */
static bool vectors(void)
{
	static uint32_t known; /* under the collect lock: 0 not yet, 1 no, 2 yes */
	uint32_t a, b, c, d, b7, c7, xcr0;
	if (known)
		return known == 2;
	known = 1;
	__cpuid(0, a, b, c, d);
	if (a < 7)
		return false;
	__cpuid(1, a, b, c, d);
	__cpuid_count(7, 0, a, b7, c7, d);
	keys_known = c7 & OSPKE;
	if (!(c & OSXSAVE) || !(b7 & AVX2))
		return false;
	__asm__("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
	known += (xcr0 & YMM) == YMM;
	return known == 2;
}

/* What only the lower halves of words tell, eight of them at once: whether one may be mangled, or the upper half of an odd word. */
struct hints {
	__m256i mangled, odd, integer;
	__m256i from[INTEGER_SHIFTS], count[INTEGER_SHIFTS];
	__m256i half, halves, low_bits, mark; /* copies: what is pushed might change the marker, for all that the compiler knows */
};
__attribute__((target("avx2"))) INLINE struct hints hints_begin(void)
{
	const __m256i none = _mm256_setzero_si256();
	struct hints h = { .mangled = none, .odd = none, .integer = none };
	h.half = _mm256_set1_epi32((int)(marker.half ^ 0x80000000u));
	h.halves = _mm256_set1_epi32((int)(marker.halves ^ 0x80000000u));
	h.low_bits = _mm256_set1_epi32(MANGLED_LOW);
	h.mark = _mm256_set1_epi32((int)marker.mangled_mark);
	for (int i = 0; i < INTEGER_SHIFTS; i++) {
		h.from[i] = _mm256_set1_epi32((int)(marker.integer_from[i] ^ 0x80000000u));
		h.count[i] = _mm256_set1_epi32((int)(marker.integer_count[i] ^ 0x80000000u));
	}
	return h;
}
__attribute__((target("avx2"))) INLINE void hints_add(struct hints *h, __m256i v, __m256i w)
{
	__m256i lower = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(v), _mm256_castsi256_ps(w), 0x88));
	h->mangled = _mm256_or_si256(h->mangled, _mm256_cmpeq_epi32(_mm256_and_si256(lower, h->low_bits), h->mark));
	h->odd = _mm256_or_si256(h->odd, _mm256_cmpgt_epi32(h->halves, _mm256_sub_epi32(lower, h->half)));
	__m256i upper = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(v), _mm256_castsi256_ps(w), 0xdd));
	for (int i = 0; i < INTEGER_SHIFTS; i++)
		h->integer = _mm256_or_si256(h->integer, _mm256_cmpgt_epi32(h->count[i], _mm256_sub_epi32(upper, h->from[i])));
}

/* Odd words of [p, q), which a vector loop has seen, and the one that reaches into the word behind. */
INLINE uintptr_t *odd_before(const word_t *p, const word_t *q, const word_t *end, bool some, uintptr_t *top)
{
	bool across = q > p && q < end && (uint32_t)*q - marker.half < marker.halves;
	return UNLIKELY(some || across) ? extra_odd(p, across ? q + 1 : q, top) : top;
}

/* Unsigned compare is signed compare with the top bit flipped; 16 words a turn, most of them hold no pointer at all. */
__attribute__((target("avx2"))) READS_ANYTHING static uintptr_t *filter_avx2(const word_t *p, const word_t *end,
                                                                             uintptr_t *top)
{
	const __m256i flip = _mm256_set1_epi64x(INT64_MIN);
	const __m256i base = _mm256_set1_epi64x((long long)(marker.base ^ (uintptr_t)INT64_MIN));
	const __m256i limit = _mm256_xor_si256(_mm256_set1_epi64x((long long)marker.limit), flip);
	struct hints hints = hints_begin();
	const word_t *first = p;
	for (; p + 16 <= end; p += 16) {
		unsigned hits = 0;
		__m256i before = _mm256_setzero_si256();
		for (int i = 0; i < 4; i++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + 4 * i));
			if (i & 1)
				hints_add(&hints, before, w);
			before = w;
			/* (w - base) ^ flip == w - (base ^ flip): adding the top bit is flipping it */
			__m256i in = _mm256_cmpgt_epi64(limit, _mm256_sub_epi64(w, base));
			hits |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << (4 * i);
		}
		for (; hits; hits &= hits - 1)
			*top++ = p[__builtin_ctz(hits)];
	}
	top = odd_before(first, p, end, !_mm256_testz_si256(hints.odd, hints.odd), top);
	if (UNLIKELY(!_mm256_testz_si256(hints.integer, hints.integer)))
		top = extra_integers(first, p, top);
	if (UNLIKELY(!_mm256_testz_si256(hints.mangled, hints.mangled)))
		top = extra_mangled(first, p, top);
	if (marker.mangled)
		top = extra_mangled(p, end, top);
	return filter(p, end, top, marker.base, marker.limit);
}
#else
static bool vectors(void) { return false; }
static uint32_t keys_open(void) { return 0; }
static void keys_restore(uint32_t rights) { }
static uintptr_t *filter_avx2(const word_t *p, const word_t *end, uintptr_t *top)
{
	return filter(p, end, top, marker.base, marker.limit);
}
#endif

/* -- offsets from the block's own start -- */

/*
 * fontconfig (and so every program that draws text) keeps arrays as offsets from the structure that owns them: the array's start
 * minus the structure's start, both malloc'ed. Such a word is no pointer by itself, so a word counts as one, too, if the
 * block's start plus the word is exactly the start of another block. Numbers are rarely that, even in the block's own span, where
 * they must be a multiple of its size (fontconfig's small arrays are neighbours of their owners: leaving the block's own page
 * out recycled them now and then). `delta` below is the block's offset in the window: word + delta is the target's. It costs
 * little time, because the loops only collect whether any word may be such an offset, and seldom one is.
 */
INLINE uintptr_t relative_to(uintptr_t block) { return block - marker.base; }

INLINE bool may_be_offset(uintptr_t w, uintptr_t delta, size_t limit)
{
	return (w + delta < limit) & (w % SLOT_STEP == 0) & (w != 0);
}

/* Pushes the targets of all offsets in [p, end). A word that is one lies outside the window, so the room for one edge a word
 * is enough. */
static __attribute__((noinline)) READS_ANYTHING uintptr_t *push_offsets(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t delta)
{
	for (; p < end && !marker.no_offsets; p++) {
		if (LIKELY(!may_be_offset(*p, delta, marker.limit)))
			continue;
		uintptr_t target = marker.base + delta + *p;
		const struct span *s = &arena.spans[load_relaxed(&arena.page_map[(target - marker.base) >> PAGE_SHIFT])];
		uint32_t slot = span_slot(s, target);
		if (slot < s->slots && span_address(s, slot) == target)
			*top++ = target;
	}
	return top;
}

/* filter for the words of a block. */
INLINE uintptr_t *filter_block(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t base, size_t limit, uintptr_t delta)
{
	const uint32_t half = marker.half, halves = marker.halves;
	const uint64_t integers = marker.integers;
	const unsigned hash = marker.integers_hash;
	uint64_t integer = 0;
	bool offsets = false, odd = false;
	for (const word_t *q = p; q < end; q++) {
		uintptr_t w = *q;
		*top = w;
		top += w - base < limit;
		offsets |= may_be_offset(w, delta, limit);
		odd |= (uint32_t)w - half < halves;
		integer |= integers >> (w >> hash & 63);
	}
	if (UNLIKELY(integer & 1))
		top = extra_integers(p, end, top);
	if (UNLIKELY(odd))
		top = extra_odd(p, end, top);
	return UNLIKELY(offsets) ? push_offsets(p, end, top, delta) : top;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) READS_ANYTHING static uintptr_t *filter_block_avx2(const word_t *p, const word_t *end,
                                                                                   uintptr_t *top, uintptr_t delta)
{
	const __m256i flip = _mm256_set1_epi64x(INT64_MIN);
	const __m256i base = _mm256_set1_epi64x((long long)(marker.base ^ (uintptr_t)INT64_MIN));
	const __m256i limit = _mm256_xor_si256(_mm256_set1_epi64x((long long)marker.limit), flip);
	const __m256i shift = _mm256_set1_epi64x((long long)(delta ^ (uintptr_t)INT64_MIN));
	const __m256i step_bits = _mm256_set1_epi64x(SLOT_STEP - 1);
	const __m256i zero = _mm256_setzero_si256();
	__m256i offsets = zero;
	struct hints hints = hints_begin();
	const word_t *q = p;
	for (; q + 16 <= end; q += 16) {
		unsigned hits = 0;
		__m256i before = _mm256_setzero_si256();
		for (int i = 0; i < 4; i++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(q + 4 * i));
			__m256i in = _mm256_cmpgt_epi64(limit, _mm256_sub_epi64(w, base));
			__m256i target = _mm256_cmpgt_epi64(limit, _mm256_add_epi64(w, shift));
			__m256i round = _mm256_cmpeq_epi64(_mm256_and_si256(w, step_bits), zero);
			target = _mm256_andnot_si256(_mm256_cmpeq_epi64(w, zero), _mm256_and_si256(target, round));
			offsets = _mm256_or_si256(offsets, target);
			if (i & 1)
				hints_add(&hints, before, w);
			before = w;
			hits |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << (4 * i);
		}
		for (; hits; hits &= hits - 1)
			*top++ = q[__builtin_ctz(hits)];
	}
	bool some = !_mm256_testz_si256(offsets, offsets);
	top = odd_before(p, q, end, !_mm256_testz_si256(hints.odd, hints.odd), top);
	if (UNLIKELY(!_mm256_testz_si256(hints.integer, hints.integer)))
		top = extra_integers(p, q, top);
	if (UNLIKELY(!_mm256_testz_si256(hints.mangled, hints.mangled))) /* the last 136 bytes of a jmp_buf are a signal mask: not of the words behind q */
		top = extra_mangled(p, q, top);
	top = filter_block(q, end, top, marker.base, marker.limit, delta);
	return UNLIKELY(some) ? push_offsets(p, q, top, delta) : top;
}
#else
static uintptr_t *filter_block_avx2(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t delta)
{
	return filter_block(p, end, top, marker.base, marker.limit, delta);
}
#endif

#endif
