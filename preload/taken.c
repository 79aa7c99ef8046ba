/*
 * Calls that take the memory of an alternate signal stack away (pages.c, dl.c): no frame of a stop may come to lie there (altstacks.h). Where
 * the call does not say what goes, or only its contents go, there is no stop until it is over.
 */
#include "preload/taken.h"
#include "heap/heap.h"
#include "heap/self.h"
#include "os/os.h"
#include "os/syscall.h"
#include "preload/altstacks.h"
#include "preload/pages.h"
#include "preload/shim.h"
#include <sys/mman.h>
#include <sys/shm.h>

enum { DONTNEED_LOCKED = 24 }; /* of madvise, Linux 5.18 */

static bool leaves(uintptr_t at, size_t size)
{
	altstack_leaves(align_down(at, OS_PAGE), align_up(at + size, OS_PAGE));
	return false;
}

/* The frame of a thread that stands still may be there: its contents must not go. */
static bool advised(uintptr_t at, size_t size, long advice)
{
	switch (advice) {
	case PAGES_GUARD:
		return leaves(at, size);
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case DONTNEED_LOCKED:
		return altstacks_hold(at, at + size);
	default:
		return false;
	}
}

static bool begin(long number, const long *a)
{
	const uintptr_t at = (uintptr_t)a[0];
	switch (number) {
	case SYS_munmap:
		return leaves(at, (size_t)a[1]);
	case SYS_mmap:
		return a[3] & MAP_FIXED ? leaves(at, (size_t)a[1]) : false;
	case SYS_pkey_mprotect:
		return a[2] & PROT_WRITE && a[3] <= 0 ? false : leaves(at, (size_t)a[1]);
	case SYS_mprotect:
		return a[2] & PROT_WRITE ? false : leaves(at, (size_t)a[1]);
	case SYS_mremap:
		leaves(at, (size_t)a[1]);
		return a[3] & MREMAP_FIXED ? leaves((uintptr_t)a[4], (size_t)a[2]) : false;
	case SYS_shmat:
		return a[2] & SHM_REMAP ? leaves((uintptr_t)a[1], pages_of_segment((int)a[0])) : false;
	case SYS_madvise:
		return advised(at, (size_t)a[1], a[2]);
	case SYS_brk:
		return at ? leaves(at, (size_t)syscall1(SYS_brk, 0) - at) : false; /* when it grows, nothing is so large */
	case SYS_shmdt: /* other mappings may take the place at once: its own thread needs no look */
		altstack_leaves_own(at, UINTPTR_MAX);
		return altstacks_hold(at, UINTPTR_MAX);
	default:
		return altstacks_hold(0, UINTPTR_MAX);
	}
}

uint32_t taken_keys;

void taken_keyed(uintptr_t at, size_t size)
{
	store_relaxed(&taken_keys, 1);
	if ((uintptr_t)&self - at < size)
		altstack_keyed(at, at + size, true);
}

bool taken_begin(long number, const long *a)
{
	bool held = false;
	if (UNLIKELY(altstacks_within(0, UINTPTR_MAX)) && !os_is_confined())
		KEEPING_ERRNO(held = begin(number, a));
	return held;
}

void taken_end(long number, const long *a, bool held)
{
	const uintptr_t at = number == SYS_madvise || number == SYS_shmdt ? (uintptr_t)a[0] : 0;
	if (UNLIKELY(held))
		KEEPING_ERRNO(altstacks_look(at, number == SYS_madvise ? at + (size_t)a[1] : UINTPTR_MAX));
}
