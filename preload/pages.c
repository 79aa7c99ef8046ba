/*
 * Calls that change what pages are: unmapped, moved, protected, mapped over, kept from children of fork; and those that cut off a file.
 *
 *   before   no frame of a stop may come to lie there (altstacks.h); blocks there are altered ones (heap/altered.h)
 *   after    what was readable may not be any more (flight.h)
 *
 * A block is altered before the call, which a handler may interrupt and never come back: one altered needlessly costs its free a system
 * call. What the program does by instructions of its own shows in the mappings that a cycle lists (roots.c), but for what these don't
 * tell: DONTFORK, WIPEONFORK, guard regions, keys.
 */
#include "preload/pages.h"
#include "preload/altstacks.h"
#include "preload/flight.h"
#include "preload/real.h"
#include "heap/altered.h"
#include "os/os.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

static void leaves(uintptr_t at, size_t size)
{
	if (UNLIKELY(altstacks_any()))
		altstack_leaves(at, at + size);
}

/* Where the pages end: the kernel rounds up. */
static uintptr_t end_of(uintptr_t at, size_t size)
{
	const uintptr_t end = at + size;
	return end < at || end > UINTPTR_MAX - 4095 ? UINTPTR_MAX : align_up(end, 4096);
}

static void alter(uintptr_t at, size_t size) { heap_pages_altered(at, end_of(at, size)); }
static void gone(uintptr_t at, size_t size) { heap_pages_gone(at, end_of(at, size)); }
static void back(uintptr_t at, size_t size) { heap_pages_back(at, end_of(at, size)); }

/* In place of pages of a block. shmdt, which gets no size, will unmap it. */
static void segment_comes(int id, uintptr_t at)
{
	struct shmid_ds segment = { .shm_segsz = 1 };
	const int saved = errno;
	if (!os_is_confined())
		shmctl(id, IPC_STAT, &segment);
	errno = saved;
	leaves(at, segment.shm_segsz);
	gone(at, segment.shm_segsz);
}

void pages_leave(long number, const long *a)
{
	const uintptr_t at = (uintptr_t)a[0];
	const size_t size = (size_t)a[1];
	switch (number) {
	case SYS_mprotect:
	case SYS_pkey_mprotect:
		if ((a[2] & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) && !(number == SYS_pkey_mprotect && a[3] > 0))
			break;
		leaves(at, size);
		alter(at, size);
		break;
	case SYS_munmap:
		leaves(at, size);
		gone(at, size);
		break;
	case SYS_mremap:
		leaves(at, size);
		gone(at, size);
		if (a[3] & MREMAP_FIXED) {
			leaves((uintptr_t)a[4], (size_t)a[2]);
			alter((uintptr_t)a[4], (size_t)a[2]);
		}
		break;
	case SYS_madvise:
		if (a[2] == PAGES_GUARD)
			leaves(at, size);
		alter(at, size);
		break;
	case SYS_mmap:
		leaves(at, size);
		alter(at, size);
		break;
	case SYS_shmat:
		segment_comes((int)a[0], (uintptr_t)a[1]);
		break;
	default:
		break;
	}
}

void pages_left(long number, const long *a, long r)
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

bool pages_change(long number, const long *a)
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

int munmap(void *at, size_t size)
{
	const long a[] = { (long)at, (long)size };
	pages_leave(SYS_munmap, a);
	int r = real()->munmap(at, size);
	pages_left(SYS_munmap, a, r);
	return r;
}

int mprotect(void *at, size_t size, int protection)
{
	const long a[] = { (long)at, (long)size, protection };
	pages_leave(SYS_mprotect, a);
	int r = real()->mprotect(at, size, protection);
	pages_left(SYS_mprotect, a, r);
	return r;
}

int pkey_mprotect(void *at, size_t size, int protection, int key)
{
	const long a[] = { (long)at, (long)size, protection, key };
	pages_leave(SYS_pkey_mprotect, a);
	int r = real()->pkey_mprotect(at, size, protection, key);
	pages_left(SYS_pkey_mprotect, a, r);
	return r;
}

void *mremap(void *at, size_t old, size_t size, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	void *to = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? va_arg(more, void *) : NULL;
	va_end(more);
	const long a[] = { (long)at, (long)old, (long)size, flags, (long)to };
	pages_leave(SYS_mremap, a);
	void *r = real()->mremap(at, old, size, flags, to);
	pages_left(SYS_mremap, a, (long)r);
	return r;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	const long a[] = { (long)at, (long)size, protection, flags };
	const bool changes = UNLIKELY(pages_change(SYS_mmap, a));
	if (changes)
		pages_leave(SYS_mmap, a);
	void *r = real()->mmap(at, size, protection, flags, fd, offset);
	if (changes)
		pages_left(SYS_mmap, a, (long)r);
	return r;
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap")));

int madvise(void *at, size_t size, int advice)
{
	const long a[] = { (long)at, (long)size, advice };
	const bool changes = UNLIKELY(pages_change(SYS_madvise, a));
	if (changes)
		pages_leave(SYS_madvise, a);
	int r = real()->madvise(at, size, advice);
	if (changes)
		pages_left(SYS_madvise, a, r);
	return r;
}

void *shmat(int id, const void *at, int flags)
{
	const long a[] = { id, (long)at, flags };
	const bool changes = UNLIKELY(pages_change(SYS_shmat, a));
	if (changes)
		pages_leave(SYS_shmat, a);
	void *r = real()->shmat(id, at, flags);
	if (changes)
		pages_left(SYS_shmat, a, (long)r);
	return r;
}

int shmdt(const void *at)
{
	int r = real()->shmdt(at);
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
