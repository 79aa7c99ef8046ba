/*
 * Windows: address space that grows upward from a base, each step touching the last, so that the kernel keeps one mapping.
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
	if (CONFIG_RESERVE)
		w->base = align_up((uintptr_t)os_reserve(max + PAGE), PAGE);
	return w->base != 0;
}

int window_extend(struct window *w, size_t size)
{
	if (w->mapped + size > w->max)
		return -ENOMEM;
	if (CONFIG_RESERVE)
		return os_commit(w->base + w->mapped, size) ? 0 : -ENOMEM;
	int r = os_map_at_errno(w->base + w->mapped, size);
	if (r == -EEXIST && w->torn)
		r = os_map_over(w->base + w->mapped, size) ? 0 : -ENOMEM;
	w->torn = false;
	return r;
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
