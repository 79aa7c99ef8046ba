/*
 * Calls that take pages away, protect them, put others in their place, or cut off a file.
 *
 *   before   a stop's frame must not come to lie there: a thread's alternate signal stack may (altstacks.h)
 *   after    what was readable may not be (flight.h)
 */
#include "preload/pages.h"
#include "preload/altstacks.h"
#include "preload/flight.h"
#include "preload/real.h"
#include <stdarg.h>
#include <sys/syscall.h>

static void leaves(uintptr_t at, size_t size)
{
	if (UNLIKELY(altstacks_any()))
		altstack_leaves(at, at + size);
}

void pages_leave(long number, const long *a)
{
	const uintptr_t at = (uintptr_t)a[0];
	switch (number) {
	case SYS_mprotect:
		if (!(a[2] & PROT_WRITE))
			leaves(at, (size_t)a[1]);
		break;
	case SYS_mremap:
		leaves(at, (size_t)a[1]);
		if (a[3] & MREMAP_FIXED)
			leaves((uintptr_t)a[4], (size_t)a[2]);
		break;
	case SYS_munmap:
	case SYS_mmap:
	case SYS_pkey_mprotect:
	case SYS_madvise:
		leaves(at, (size_t)a[1]);
		break;
	default:
		break;
	}
}

int munmap(void *at, size_t size)
{
	leaves((uintptr_t)at, size);
	int r = real()->munmap(at, size);
	flight_pages_changed();
	return r;
}
int mprotect(void *at, size_t size, int protection)
{
	pages_leave(SYS_mprotect, (long[]){ (long)at, (long)size, protection });
	int r = real()->mprotect(at, size, protection);
	flight_pages_changed();
	return r;
}
int pkey_mprotect(void *at, size_t size, int protection, int key)
{
	leaves((uintptr_t)at, size);
	int r = real()->pkey_mprotect(at, size, protection, key);
	flight_pages_changed();
	return r;
}
void *mremap(void *at, size_t old, size_t size, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	void *to = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? va_arg(more, void *) : NULL;
	va_end(more);
	pages_leave(SYS_mremap, (long[]){ (long)at, (long)old, (long)size, flags, (long)to });
	void *r = real()->mremap(at, old, size, flags, to);
	flight_pages_changed();
	return r;
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (UNLIKELY(flags & MAP_FIXED))
		leaves((uintptr_t)at, size);
	void *r = real()->mmap(at, size, protection, flags, fd, offset);
	if (UNLIKELY(flags & MAP_FIXED))
		flight_pages_changed();
	return r;
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap")));
int madvise(void *at, size_t size, int advice)
{
	if (UNLIKELY(advice == PAGES_GUARD))
		leaves((uintptr_t)at, size);
	int r = real()->madvise(at, size, advice);
	if (UNLIKELY(advice == PAGES_GUARD))
		flight_pages_changed();
	return r;
}
int ftruncate(int fd, off_t size)
{
	int r = real()->ftruncate(fd, size);
	flight_pages_changed();
	return r;
}
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int truncate(const char *path, off_t size)
{
	int r = real()->truncate(path, size);
	flight_pages_changed();
	return r;
}
int truncate64(const char *path, off_t size) __attribute__((alias("truncate")));
int shmdt(const void *at)
{
	int r = real()->shmdt(at);
	flight_pages_changed();
	return r;
}
