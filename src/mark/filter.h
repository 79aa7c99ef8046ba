/*
 * Which words of a piece of memory lead into the arena: the loops that see every byte of the live heap. For mark.c alone, which
 * inlines them. Scalar for small blocks; AVX2 from 256 bytes up, chosen once a mark.
 */
#ifndef CGC_MARK_FILTER_H
#define CGC_MARK_FILTER_H

#include "mark/inside.h"

#ifdef __x86_64__ /* the vector filter is the only code of a machine here; others run the scalar one */
#include <immintrin.h>
#endif

enum {
	SLOT_STEP = 16,        /* every block begins and ends at a multiple of this */
	VECTOR_FROM = 256      /* below this the vector loop's set-up costs more than it saves */
};

#define READS_ANYTHING __attribute__((no_sanitize_address, no_sanitize_thread))
#define INLINE static inline __attribute__((always_inline)) READS_ANYTHING

/* The slot behind `top` is always writable: the word is stored first and kept if it passes. No branch to predict. */
INLINE uintptr_t *filter(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t base, size_t limit)
{
	for (; p < end; p++) {
		uintptr_t w = *p;
		*top = w;
		top += w - base < limit;
	}
	return top;
}

#ifdef __x86_64__
static bool vectors(void) { return __builtin_cpu_supports("avx2"); }

/* Unsigned compare is signed compare with the top bit flipped; 16 words a turn, most of them hold no pointer at all. */
__attribute__((target("avx2"))) READS_ANYTHING static uintptr_t *filter_avx2(const word_t *p, const word_t *end,
                                                                             uintptr_t *top)
{
	const __m256i flip = _mm256_set1_epi64x(INT64_MIN);
	const __m256i base = _mm256_set1_epi64x((long long)(marker.base ^ (uintptr_t)INT64_MIN));
	const __m256i limit = _mm256_xor_si256(_mm256_set1_epi64x((long long)marker.limit), flip);
	for (; p + 16 <= end; p += 16) {
		unsigned hits = 0;
		for (int i = 0; i < 4; i++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + 4 * i));
			/* (w - base) ^ flip == w - (base ^ flip): adding the top bit is flipping it */
			__m256i in = _mm256_cmpgt_epi64(limit, _mm256_sub_epi64(w, base));
			hits |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << (4 * i);
		}
		for (; hits; hits &= hits - 1)
			*top++ = p[__builtin_ctz(hits)];
	}
	return filter(p, end, top, marker.base, marker.limit);
}
#else
static bool vectors(void) { return false; }
static uintptr_t *filter_avx2(const word_t *p, const word_t *end, uintptr_t *top)
{
	return filter(p, end, top, marker.base, marker.limit);
}
#endif

/* -- offsets from the block's own start -- */

/*
 * fontconfig (and so every program that draws text) keeps arrays as offsets from the structure that owns them: the array's start
 * minus the structure's start, both malloc'ed. Such a word is no pointer by itself, so a word counts as one, too, if the
 * block's start plus the word is exactly the start of another block. In the block's own page nothing counts: there every small
 * number would. Numbers in general are rarely the distance to the very start of a block, so this costs little precision; and
 * little time, because the loops below only collect whether any word may be such an offset, and almost never one is.
 */
struct relative {
	uintptr_t delta; /* the block's offset in the window: word + delta is the target's */
	uintptr_t page;  /* offset of the block's page */
};

INLINE struct relative relative_to(uintptr_t block)
{
	uintptr_t delta = block - marker.base;
	return (struct relative){ delta, align_down(delta, PAGE) };
}

INLINE bool may_be_offset(uintptr_t w, struct relative r, size_t limit)
{
	uintptr_t target = w + r.delta;
	return (target < limit) & (target - r.page >= PAGE);
}

/* Pushes the targets of all offsets in [p, end). A word that is one lies outside the window, so the room for one edge a word
 * is enough. */
static __attribute__((noinline)) READS_ANYTHING uintptr_t *push_offsets(const word_t *p, const word_t *end, uintptr_t *top, struct relative r)
{
	for (; p < end && !marker.no_offsets; p++) {
		if (LIKELY(!may_be_offset(*p, r, marker.limit)) || *p % SLOT_STEP)
			continue;
		uintptr_t target = marker.base + r.delta + *p;
		const struct span *s = &arena.spans[load_relaxed(&arena.page_map[(target - marker.base) >> PAGE_SHIFT])];
		uint32_t slot = span_slot(s, target);
		if (slot < s->slots && span_address(s, slot) == target)
			*top++ = target;
	}
	return top;
}

/* filter for the words of a block. */
INLINE uintptr_t *filter_block(const word_t *p, const word_t *end, uintptr_t *top, uintptr_t base, size_t limit, struct relative r)
{
	bool offsets = false;
	for (const word_t *q = p; q < end; q++) {
		uintptr_t w = *q;
		*top = w;
		top += w - base < limit;
		offsets |= may_be_offset(w, r, limit);
	}
	return UNLIKELY(offsets) ? push_offsets(p, end, top, r) : top;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) READS_ANYTHING static uintptr_t *filter_block_avx2(const word_t *p, const word_t *end,
                                                                                   uintptr_t *top, struct relative r)
{
	const __m256i flip = _mm256_set1_epi64x(INT64_MIN);
	const __m256i base = _mm256_set1_epi64x((long long)(marker.base ^ (uintptr_t)INT64_MIN));
	const __m256i limit = _mm256_xor_si256(_mm256_set1_epi64x((long long)marker.limit), flip);
	const __m256i delta = _mm256_set1_epi64x((long long)(r.delta ^ (uintptr_t)INT64_MIN));
	const __m256i near = _mm256_set1_epi64x((long long)((r.delta - r.page) ^ (uintptr_t)INT64_MIN));
	const __m256i page = _mm256_set1_epi64x((long long)((uintptr_t)(PAGE - 1) ^ (uintptr_t)INT64_MIN));
	__m256i offsets = _mm256_setzero_si256();
	const word_t *q = p;
	for (; q + 16 <= end; q += 16) {
		unsigned hits = 0;
		for (int i = 0; i < 4; i++) {
			__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(q + 4 * i));
			__m256i in = _mm256_cmpgt_epi64(limit, _mm256_sub_epi64(w, base));
			__m256i target = _mm256_cmpgt_epi64(limit, _mm256_add_epi64(w, delta));
			__m256i far = _mm256_cmpgt_epi64(_mm256_add_epi64(w, near), page);
			offsets = _mm256_or_si256(offsets, _mm256_and_si256(target, far));
			hits |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << (4 * i);
		}
		for (; hits; hits &= hits - 1)
			*top++ = q[__builtin_ctz(hits)];
	}
	bool some = !_mm256_testz_si256(offsets, offsets);
	top = filter_block(q, end, top, marker.base, marker.limit, r);
	return UNLIKELY(some) ? push_offsets(p, q, top, r) : top;
}
#else
static uintptr_t *filter_block_avx2(const word_t *p, const word_t *end, uintptr_t *top, struct relative r)
{
	return filter_block(p, end, top, marker.base, marker.limit, r);
}
#endif

#endif
