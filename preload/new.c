/*
 * C++'s operator new, so that a leak is reported at the line that says `new` and not inside libstdc++, and so that `new` takes
 * one call instead of two. A program that replaces operator new finds its own first: executables come before us in search
 * order. Failure is the library's business (new_handler, bad_alloc): the real operator is asked again, and throws.
 */
#include "heap/cache.h"

#include <dlfcn.h>

#define EXPORT __attribute__((visibility("default")))

typedef void *(*plain_new)(size_t);
typedef void *(*aligned_new)(size_t, size_t);
typedef void *(*nothrow_new)(size_t, const void *);
typedef void *(*nothrow_aligned_new)(size_t, size_t, const void *);

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

/* Names as the Itanium C++ ABI mangles them for size_t == unsigned long. */
EXPORT void *_Znwm(size_t size);
EXPORT void *_Znam(size_t size);
EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align);
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align);
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);

void *_Znwm(size_t size)
{
	void *p = heap_malloc_fast(size);
	if (LIKELY(p != NULL))
		return p;
	plain_new next = NEXT(plain_new, "_Znwm");
	return next ? next(size) : NULL;
}

void *_Znam(size_t size)
{
	void *p = heap_malloc_fast(size);
	if (LIKELY(p != NULL))
		return p;
	plain_new next = NEXT(plain_new, "_Znam");
	return next ? next(size) : NULL;
}

void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag)
{
	void *p = heap_malloc_fast(size);
	if (LIKELY(p != NULL))
		return p;
	nothrow_new next = NEXT(nothrow_new, "_ZnwmRKSt9nothrow_t");
	return next ? next(size, tag) : NULL;
}

void *_ZnamRKSt9nothrow_t(size_t size, const void *tag)
{
	void *p = heap_malloc_fast(size);
	if (LIKELY(p != NULL))
		return p;
	nothrow_new next = NEXT(nothrow_new, "_ZnamRKSt9nothrow_t");
	return next ? next(size, tag) : NULL;
}

void *_ZnwmSt11align_val_t(size_t size, size_t align)
{
	void *p = heap_aligned_from(align, size, __builtin_return_address(0));
	if (LIKELY(p != NULL))
		return p;
	aligned_new next = NEXT(aligned_new, "_ZnwmSt11align_val_t");
	return next ? next(size, align) : NULL;
}

void *_ZnamSt11align_val_t(size_t size, size_t align) { return _ZnwmSt11align_val_t(size, align); }

void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag)
{
	void *p = heap_aligned_from(align, size, __builtin_return_address(0));
	if (LIKELY(p != NULL))
		return p;
	nothrow_aligned_new next = NEXT(nothrow_aligned_new, "_ZnwmSt11align_val_tRKSt9nothrow_t");
	return next ? next(size, align, tag) : NULL;
}

void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag)
{
	return _ZnwmSt11align_val_tRKSt9nothrow_t(size, align, tag);
}
