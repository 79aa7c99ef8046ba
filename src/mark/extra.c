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

uintptr_t *extra_scan(const word_t *p, const word_t *end, uintptr_t *top)
{
	uintptr_t *(*scan)(const odd_word_t *, const odd_word_t *, bool, uintptr_t *) = marker.avx2 ? extra_avx2 : extra_scalar;
	const odd_word_t *low = (const odd_word_t *)(const void *)p, *high = (const odd_word_t *)(const void *)end;
	if (marker.tag_mask != UINTPTR_MAX)
		top = scan(low, high, false, top);
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

void extra_begin(void)
{
	marker.tag_mask = fault(FAULT_no_tagged) ? UINTPTR_MAX : options_tag_mask();
	marker.odd_words = options.align && !fault(FAULT_no_align);
	marker.odd_step = marker.odd_words ? 8u >> options.align : 8;
	marker.guard = os_pointer_guard();
	marker.mangled = options.mangled && marker.guard && !fault(FAULT_no_mangled);
	marker.mangled_mark = marker.mangled ? (int64_t)(marker.guard >> (64 - ROTATED)) : -1;
	marker.mangled_from = marker.mangled ? JMP_BUF : SIZE_MAX;
	marker.half = (uint32_t)(marker.base >> 32);
	marker.halves = marker.odd_words ? (uint32_t)((marker.base + marker.limit - 1) >> 32) - marker.half + 1 : 0;
	marker.extra = marker.tag_mask != UINTPTR_MAX || marker.odd_step < 4;
}
