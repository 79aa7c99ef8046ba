/*
 * C++'s operators new and delete, so that a leak is reported at the line that says `new` and not inside libstdc++, and so that
 * each takes one call instead of two. All of them or none: an allocator library behind us has both, and its delete must not
 * get our blocks.
 *
 * By the standard each form ends in the plain one, which a program may have replaced, and only libstdc++'s forms know that. So
 * when anybody replaced any of them, ours hand every call on to the next definition (decided in the constructor of a C++ program, else by the first call). Failure is
 * the library's business too (new_handler, bad_alloc): the next operator is asked again, and throws.
 *
 * Names are those that the Itanium C++ ABI makes for size_t == unsigned long.
 */
#include "heap/cache.h"
#include "preload/kin.h"
#include "preload/lookup.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

enum { UNKNOWN, OURS, THEIRS };
static uint32_t whose; /* atomic */

static __attribute__((noinline)) bool decide(void)
{
	if (load_relaxed(&whose) == UNKNOWN)
		store_relaxed(&whose, kin_new_is_ours() ? OURS : THEIRS);
	return load_relaxed(&whose) == OURS;
}
static inline bool ours(void) { return LIKELY(load_relaxed(&whose) == OURS) || decide(); }

typedef void *(*plain_new)(size_t);
typedef void *(*nothrow_new)(size_t, const void *);
typedef void *(*aligned_new)(size_t, size_t);
typedef void *(*aligned_nothrow_new)(size_t, size_t, const void *);

/* X(symbol, its type, parameters, arguments, our way to get the block). */
#define NEWS(X) \
	X(_Znwm, plain_new, (size_t size), (size), heap_malloc_fast(size)) \
	X(_Znam, plain_new, (size_t size), (size), heap_malloc_fast(size)) \
	X(_ZnwmRKSt9nothrow_t, nothrow_new, (size_t size, const void *tag), (size, tag), heap_malloc_fast(size)) \
	X(_ZnamRKSt9nothrow_t, nothrow_new, (size_t size, const void *tag), (size, tag), heap_malloc_fast(size)) \
	X(_ZnwmSt11align_val_t, aligned_new, (size_t size, size_t align), (size, align), \
	  heap_aligned_from(align, size, __builtin_return_address(0))) \
	X(_ZnamSt11align_val_t, aligned_new, (size_t size, size_t align), (size, align), \
	  heap_aligned_from(align, size, __builtin_return_address(0))) \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t, aligned_nothrow_new, (size_t size, size_t align, const void *tag), (size, align, tag), \
	  heap_aligned_from(align, size, __builtin_return_address(0))) \
	X(_ZnamSt11align_val_tRKSt9nothrow_t, aligned_nothrow_new, (size_t size, size_t align, const void *tag), (size, align, tag), \
	  heap_aligned_from(align, size, __builtin_return_address(0)))

typedef void (*plain_delete)(void *);
typedef void (*word_delete)(void *, size_t);             /* a size, an alignment or the address of a tag */
typedef void (*words_delete)(void *, size_t, size_t);

#define DELETES(X) \
	X(_ZdlPv, plain_delete, (void *p), (p)) \
	X(_ZdaPv, plain_delete, (void *p), (p)) \
	X(_ZdlPvm, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdaPvm, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdlPvRKSt9nothrow_t, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdaPvRKSt9nothrow_t, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdlPvSt11align_val_t, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdaPvSt11align_val_t, word_delete, (void *p, size_t a), (p, a)) \
	X(_ZdlPvmSt11align_val_t, words_delete, (void *p, size_t a, size_t b), (p, a, b)) \
	X(_ZdaPvmSt11align_val_t, words_delete, (void *p, size_t a, size_t b), (p, a, b)) \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t, words_delete, (void *p, size_t a, size_t b), (p, a, b)) \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t, words_delete, (void *p, size_t a, size_t b), (p, a, b))

/* The next definition, NULL when there is none. */
#define NEXT(type, symbol) __extension__({ \
	static type next_; /* atomic: the same value by whoever writes */ \
	type found_ = load_relaxed(&next_); \
	if (UNLIKELY(!found_)) { \
		found_ = (type)lookup_behind(symbol); \
		store_relaxed(&next_, found_); \
	} \
	found_; \
})

/* Two names each: the exported one, which anybody before us may replace, and own_*, which nobody can. */
#define X(symbol, type, parameters, arguments, block) \
	static __attribute__((noinline)) void *next##symbol parameters \
	{ \
		type next = NEXT(type, #symbol); \
		return next ? next arguments : ours() ? NULL : block; \
	} \
	void *own##symbol parameters __attribute__((visibility("hidden"))); \
	void *symbol parameters __attribute__((visibility("default"), alias("own" #symbol))); \
	void *own##symbol parameters \
	{ \
		void *p = ours() ? block : NULL; \
		return LIKELY(p != NULL) ? p : next##symbol arguments; \
	}
NEWS(X)
#undef X

#define X(symbol, type, parameters, arguments) \
	static __attribute__((noinline)) void next##symbol parameters \
	{ \
		type next = NEXT(type, #symbol); \
		if (next) \
			next arguments; \
		else \
			heap_free_fast(p); \
	} \
	void own##symbol parameters __attribute__((visibility("hidden"))); \
	void symbol parameters __attribute__((visibility("default"), alias("own" #symbol))); \
	void own##symbol parameters \
	{ \
		if (ours()) \
			heap_free_fast(p); \
		else \
			next##symbol arguments; \
	}
DELETES(X)
#undef X

bool new_is_not_replaced(void)
{
#define X(symbol, ...) if (kin_replaced(#symbol, (void *)own##symbol)) return false;
	NEWS(X)
	DELETES(X)
#undef X
	return true;
}

/* To look for what is not there takes the loader long (it allocates a message), and most programs are C. In these the first call decides, if one comes. */
void new_start(void)
{
	static const char *const libraries[] = { "libstdc++.so", "libc++.so", "libc++abi.so" };
	for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next)
		for (unsigned i = 0; i < NELEM(libraries); i++)
			if (strstr(m->l_name, libraries[i])) {
				decide();
				return;
			}
}
