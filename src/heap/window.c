/*
 * Windows: address space that grows upward from a base, each step touching the last, so that the kernel keeps one mapping.
 *
 *        guard | mapped ........................ | guard | (grows this way)
 *
 * A page without access stands at either end, so that a mapping of the program never touches ours: what runs over its end, or
 * below its start, faults before it reaches metadata or blocks. A step maps what lies behind the guard and one page more, opens
 * the old guard and closes the new one. A guard that the kernel refuses to close is a page that is never used.
 *
 * Sanitizer builds reserve a window at an address that the kernel chooses, and commit step by step.
 */
#include "heap/window.h"
#include "base/config.h"
#include "heap/heap.h"
#include "os/os.h"

#include <errno.h>

bool window_place(struct window *w, uintptr_t base, size_t max)
{
	w->max = max;
	w->mapped = 0;
	w->base = base;
	w->guarded = false;
	if (CONFIG_RESERVE) {
		uintptr_t room = (uintptr_t)os_reserve(max + 3 * PAGE);
		w->base = room ? align_up(room, PAGE) + PAGE : 0;
	}
	return w->base != 0;
}

/* Maps [from, to). A forked child may find its parent's half-made step there: it is as good as a new one. */
static int map_step(struct window *w, uintptr_t from, uintptr_t to)
{
	int r = os_map_at_errno(from, to - from);
	if (r == -EEXIST && w->torn)
		r = os_map_over(from, to - from) ? 0 : -ENOMEM;
	return r;
}

int window_extend(struct window *w, size_t size)
{
	if (w->mapped + size > w->max)
		return -ENOMEM;
	if (CONFIG_RESERVE)
		return os_commit(w->base + w->mapped, size) ? 0 : -ENOMEM;
	uintptr_t at = w->base + w->mapped, end = at + size;
	uintptr_t from = w->guarded ? at + OS_PAGE : w->mapped ? at : at - OS_PAGE;
	int r = map_step(w, from, end + OS_PAGE);
	if (r != 0)
		return r;
	/* A filter of system calls that the program installed need not let mprotect pass; mmap does as well. */
	if (w->guarded && !(os_is_confined() ? os_map_over(at, OS_PAGE) : os_commit(at, OS_PAGE))) {
		os_unmap((void *)from, end + OS_PAGE - from);
		return -ENOMEM;
	}
	if (from < at)
		os_guard((void *)from, OS_PAGE);
	os_guard((void *)end, OS_PAGE);
	w->guarded = true;
	w->torn = false;
	return 0;
}

bool window_cover(struct window *w, size_t need, size_t step)
{
	if (need <= w->mapped)
		return true;
	size_t least = align_up(need - w->mapped, OS_PAGE);
	size_t size = align_up(least, step);
	if (window_extend(w, size) != 0) {
		size = least;
		if (window_extend(w, size) != 0)
			return false;
	}
	w->mapped += size;
	return true;
}
