/*
 * The malloc family, as the program sees it: glibc's contracts on top of src/heap.
 *
 * Errors are glibc's: ENOMEM for what cannot be had (overflow and sizes above PTRDIFF_MAX included), EINVAL for a bad
 * alignment before ENOMEM, posix_memalign returns its error and leaves errno alone, realloc(p, 0) frees and returns NULL.
 * Nothing else touches errno: every system call below is raw.
 */
#include "heap/cache.h"
#include "heap/hooks.h"
#include "heap/recorded.h"
#include "base/options.h"
#include "cycle/cycle.h"
#include "preload/kin.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define ALIAS(target) __attribute__((visibility("default"), alias(#target)))

/* Apart, so that malloc's fast path and that of a recorded one need no frame. */
static __attribute__((noinline)) void *malloc_unusual(size_t size, const void *caller)
{
	void *p = heap_malloc_slow(size, caller);
	if (UNLIKELY(!p))
		errno = ENOMEM;
	return p;
}

static __attribute__((noinline)) void *malloc_slow(size_t size, const void *caller) { return recorded_malloc_or(size, caller, malloc_unusual); }

void *own_malloc(size_t size) { return heap_malloc_or(size, malloc_slow); }
void *malloc(size_t) ALIAS(own_malloc);

EXPORT void free(void *p) { heap_free_fast(p); }

EXPORT void *calloc(size_t count, size_t size)
{
	void *p = heap_calloc_from(count, size, __builtin_return_address(0));
	if (UNLIKELY(!p))
		errno = ENOMEM;
	return p;
}

static inline __attribute__((always_inline)) void *resized(void *p, size_t size)
{
	if (UNLIKELY(!size && p)) {
		heap_free_fast(p);
		return NULL;
	}
	void *q = heap_realloc_from(p, size, __builtin_return_address(0));
	if (UNLIKELY(!q))
		errno = ENOMEM;
	return q;
}

EXPORT void *realloc(void *p, size_t size) { return resized(p, size); }

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return resized(p, bytes);
}

static inline __attribute__((always_inline)) void *aligned(size_t align, size_t size)
{
	void *p = heap_aligned_from(align, size, __builtin_return_address(0));
	if (UNLIKELY(!p))
		errno = ENOMEM;
	return p;
}

/* glibc rounds an odd alignment up to the next power of two; only one that has none is an error. */
static inline __attribute__((always_inline)) void *rounded(size_t align, size_t size)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	size_t power = 16;
	while (power < align)
		power *= 2;
	return aligned(power, size);
}

EXPORT void *memalign(size_t align, size_t size) { return rounded(align, size); }
EXPORT void *aligned_alloc(size_t align, size_t size) { return rounded(align, size); }

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	if (!is_power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	void *p = heap_aligned_from(align, size, __builtin_return_address(0));
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT void *valloc(size_t size) { return aligned(OS_PAGE, size); }

EXPORT void *pvalloc(size_t size)
{
	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return aligned(OS_PAGE, align_up(size, OS_PAGE));
}

EXPORT size_t malloc_usable_size(void *p) { return heap_usable(p); }
EXPORT void free_sized(void *p, size_t size) { heap_free_fast(p); }
EXPORT void free_aligned_sized(void *p, size_t align, size_t size) { heap_free_fast(p); }
EXPORT void cfree(void *p) { heap_free_fast(p); }

/* ---- what asks about the heap ---- */

EXPORT int malloc_trim(size_t pad) { return heap_trim() > 0; }
EXPORT int mallopt(int parameter, int value) { return 1; /* accepted; cgc has its own tuning */ }

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_totals t;
	heap_totals(&t);
	struct mallinfo2 m = { 0 };
	m.arena = t.mapped;
	const size_t used = heap_in_use();
	m.uordblks = used < t.mapped ? used : t.mapped;
	m.fordblks = m.arena - m.uordblks;
	m.keepcost = t.dirty;
	return m;
}

/* Fields of the old call wrap past 2 GiB in glibc; a program that prints one had rather see the most that fits. */
static int as_int(size_t n) { return n > INT_MAX ? INT_MAX : (int)n; }

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 big = mallinfo2();
	struct mallinfo m = { 0 };
	m.arena = as_int(big.arena);
	m.uordblks = as_int(big.uordblks);
	m.fordblks = as_int(big.fordblks);
	m.keepcost = as_int(big.keepcost);
	return m;
}

EXPORT void malloc_stats(void)
{
	if (options.stats) {
		cycle_print_stats();
		return;
	}
	struct heap_totals t;
	heap_totals(&t);
	fprintf(stderr, "cgc: %zu bytes live, %zu mapped, %zu free and resident, %zu of metadata\n", t.live, t.mapped, t.dirty,
	        t.metadata);
}

EXPORT int malloc_info(int flags, FILE *out)
{
	if (flags)
		return EINVAL; /* the result, as glibc has it; errno stays */
	struct heap_totals t;
	heap_totals(&t);
	fprintf(out,
	        "<malloc version=\"1\">\n<total type=\"live\" size=\"%zu\"/>\n<system type=\"current\" size=\"%zu\"/>\n"
	        "<total type=\"dirty\" size=\"%zu\"/>\n<total type=\"metadata\" size=\"%zu\"/>\n</malloc>\n",
	        t.live, t.mapped, t.dirty, t.metadata);
	return 0;
}

/* ---- glibc's own names, which some programs and libraries call ---- */

void *__libc_malloc(size_t) ALIAS(own_malloc);
void *__libc_calloc(size_t, size_t) ALIAS(calloc);
void *__libc_realloc(void *, size_t) ALIAS(realloc);
void __libc_free(void *) ALIAS(free);
void *__libc_memalign(size_t, size_t) ALIAS(memalign);
void *__libc_valloc(size_t) ALIAS(valloc);
void *__libc_pvalloc(size_t) ALIAS(pvalloc);
