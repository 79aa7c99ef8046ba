/*
 * Calls that change what pages are: unmapped, moved, protected, mapped over, kept from children of fork; and those that cut off a file.
 *
 *   before   no frame of a stop may come to lie there (taken.c); blocks there are altered ones (heap/altered.h)
 *   after    what was readable may not be any more (flight.h)
 *
 * A block is altered before the call, which a handler may interrupt and never come back: one altered needlessly costs its free a system
 * call. What the program does by instructions of its own shows in the mappings that a cycle lists (roots.c), but for what these don't
 * tell: DONTFORK, WIPEONFORK, guard regions, keys.
 */
#include "preload/pages.h"
#include "preload/taken.h"
#include "preload/flight.h"
#include "preload/real.h"
#include "heap/altered.h"
#include "os/os.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

/* Where the pages end: the kernel rounds up. */
static uintptr_t end_of(uintptr_t at, size_t size)
{
	const uintptr_t end = at + size;
	return end < at || end > UINTPTR_MAX - 4095 ? UINTPTR_MAX : align_up(end, 4096);
}

static void alter(uintptr_t at, size_t size) { heap_pages_altered(at, end_of(at, size)); }
static void gone(uintptr_t at, size_t size) { heap_pages_gone(at, end_of(at, size)); }
static void back(uintptr_t at, size_t size) { heap_pages_back(at, end_of(at, size)); }

size_t pages_of_segment(int id)
{
	struct shmid_ds segment = { .shm_segsz = 1 };
	const int saved = errno;
	if (!os_is_confined())
		shmctl(id, IPC_STAT, &segment);
	errno = saved;
	return segment.shm_segsz;
}

/* Before it. */
static void alters(long number, const long *a)
{
	const uintptr_t at = (uintptr_t)a[0];
	const size_t size = (size_t)a[1];
	switch (number) {
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		if ((a[2] & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) && !(number == SYS_pkey_mprotect && a[3] > 0))
			break;
		alter(at, size);
		break;
	case SYS_munmap:
		gone(at, size);
		break;
	case SYS_mremap:
		gone(at, size);
		if (a[3] & MREMAP_FIXED)
			alter((uintptr_t)a[4], (size_t)a[2]);
		break;
	case SYS_madvise:
	case SYS_mmap:
		alter(at, size);
		break;
	case SYS_shmat:
		gone((uintptr_t)a[1], pages_of_segment((int)a[0])); /* shmdt, which gets no size, will unmap it */
		break;
	default:
		break;
	}
}

/* After it. */
static void altered(long number, const long *a, long r)
{
	const uintptr_t at = (uintptr_t)a[0];
	const size_t size = (size_t)a[1];
	const bool failed = r == -1;
	switch (number) {
	case SYS_munmap:
		if (failed)
			back(at, size);
		break;
	case SYS_mremap:
		if (failed || a[3] & MREMAP_DONTUNMAP || (uintptr_t)r == at)
			back(at, size);
		if ((uintptr_t)r == at && (size_t)a[2] < size)
			heap_pages_gone(end_of(at, (size_t)a[2]), end_of(at, size));
		if (!failed)
			back((uintptr_t)r, (size_t)a[2]);
		break;
	case SYS_mmap:
		if (!failed)
			back(at, size);
		break;
	default:
		break;
	}
	flight_pages_changed();
}

/* false: it changes no page of anybody's. */
static bool changes(long number, const long *a)
{
	switch (number) {
	case SYS_mmap:
		return a[3] & MAP_FIXED;
	case SYS_madvise:
		return a[2] == PAGES_GUARD || a[2] == MADV_DONTFORK || a[2] == PAGES_WIPEONFORK;
	case SYS_shmat:
		return a[2] & SHM_REMAP;
	default:
		return true;
	}
}

enum { CHANGES = 1, HELD = 2 };

unsigned pages_leave(long number, const long *a)
{
	unsigned due = changes(number, a) ? CHANGES : 0;
	if (number == SYS_pkey_mprotect && a[3] > 0)
		taken_keyed((uintptr_t)a[0], (size_t)a[1]);
	if (taken_begin(number, a))
		due |= HELD;
	if (due & CHANGES)
		alters(number, a);
	return due;
}

void pages_left(long number, const long *a, long r, unsigned due)
{
	taken_end(number, a, due & HELD);
	if (due & CHANGES)
		altered(number, a, r);
}

/* A wrapper: the call's number, its arguments, the call itself. */
#define WRAP(type, number, call, ...) \
	const long a_[5] = { __VA_ARGS__ }; \
	const unsigned due_ = pages_leave(number, a_); \
	type r_ = call; \
	pages_left(number, a_, (long)r_, due_); \
	return r_

int munmap(void *at, size_t size) { WRAP(int, SYS_munmap, real()->munmap(at, size), (long)at, (long)size); }
int mprotect(void *at, size_t size, int protection)
{
	WRAP(int, SYS_mprotect, real()->mprotect(at, size, protection), (long)at, (long)size, protection);
}
int pkey_mprotect(void *at, size_t size, int protection, int key)
{
	WRAP(int, SYS_pkey_mprotect, real()->pkey_mprotect(at, size, protection, key), (long)at, (long)size, protection, key);
}
void *mremap(void *at, size_t old, size_t size, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	void *to = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? va_arg(more, void *) : NULL;
	va_end(more);
	WRAP(void *, SYS_mremap, real()->mremap(at, old, size, flags, to), (long)at, (long)old, (long)size, flags, (long)to);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	WRAP(void *, SYS_mmap, real()->mmap(at, size, protection, flags, fd, offset), (long)at, (long)size, protection, flags);
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap")));
int madvise(void *at, size_t size, int advice)
{
	WRAP(int, SYS_madvise, real()->madvise(at, size, advice), (long)at, (long)size, advice);
}
int ftruncate(int fd, off_t size) { WRAP(int, SYS_ftruncate, real()->ftruncate(fd, size), fd); }
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int truncate(const char *path, off_t size) { WRAP(int, SYS_truncate, real()->truncate(path, size), (long)path); }
int truncate64(const char *path, off_t size) __attribute__((alias("truncate")));
void *shmat(int id, const void *at, int flags) { WRAP(void *, SYS_shmat, real()->shmat(id, at, flags), id, (long)at, flags); }
int shmdt(const void *at) { WRAP(int, SYS_shmdt, real()->shmdt(at), (long)at); }
int brk(void *end) { WRAP(int, SYS_brk, real()->brk(end), (long)end); }
void *sbrk(intptr_t more)
{
	if (more >= 0)
		return real()->sbrk(more);
	WRAP(void *, SYS_brk, real()->sbrk(more), (long)real()->sbrk(0) + more);
}
