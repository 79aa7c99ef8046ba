/*
 * Large blocks: a run of arena pages each, one state byte in the descriptor, no owner.
 *
 * Freeing is a CAS on the byte (any thread), then the run goes back to the arena, dirty, where the next large malloc finds
 * it warm for about a second. Growing tries the pages behind; from 4 MiB the pages move (mremap) instead of being copied;
 * below that a copy is cheaper than the kernel mapping that every mremap leaves behind. What the program altered is never moved: protection
 * would go with it.
 */
#include "heap/arena.h"
#include "heap/cache.h"
#include "heap/veil.h"
#include "heap/harden.h"
#include "base/fault.h"
#include "os/os.h"

enum { MOVE_LEAST = 4 << 20 };

/* Bytes the program may use, and the marker scans: size rounded up to 16, one byte more unless it is a multiple of a page. */
static size_t scanned(size_t size) { return size % OS_PAGE ? align_up(size + 1, 16) : size; }

void *large_malloc(size_t size, size_t align, bool *zero)
{
	size_t pages = align_up(scanned(size), PAGE) >> PAGE_SHIFT;
	struct span *s = arena_take(pages ? pages : 1, align > PAGE ? align >> PAGE_SHIFT : 1);
	if (!s)
		return NULL;
	s->block = size ? scanned(size) : 16;
	s->state = &s->byte;
	s->magic = 0;
	s->slots = 1;
	s->class = CLASS_LARGE;
	s->exact = size % OS_PAGE == 0;
	store_relaxed(&s->kind, SPAN_LARGE);
	s->out = 1;
	if (zero)
		*zero = s->zero;
	store_relaxed(&s->byte, STATE_ALLOCATED | arena.stamp);
	heap_account((int64_t)s->block);
	uintptr_t start = s->start;
	if (fault(FAULT_law5_late_publish)) { /* the mutant: in the page map only when the next one is made */
		static struct span *late;
		s = __atomic_exchange_n(&late, s, __ATOMIC_RELAXED);
	}
	if (LIKELY(s != NULL))
		arena_publish(s);
	return (void *)start;
}

void large_free(struct span *s, bool recycled)
{
	heap_account(-(int64_t)s->block);
	if (harden_on() && !recycled) /* a late free of a recycled block must find that it was recycled */
		harden_free_large(s);
	else
		arena_give(s, recycled, false);
}

void *large_realloc(struct span *s, size_t size)
{
	size_t want = scanned(size), pages = align_up(want, PAGE) >> PAGE_SHIFT;
	if (pages == s->pages || (pages < s->pages && pages >= s->pages / 2 && s->pages < 64) || arena_resize(s, pages)) {
		heap_account((int64_t)want - (int64_t)s->block);
		s->block = want;
		s->exact = size % OS_PAGE == 0;
		return (void *)s->start;
	}
	if (load_relaxed(&s->byte) == STATE_ALTERED || pages < s->pages || s->pages * (size_t)PAGE < MOVE_LEAST || veil_started())
		return NULL;
	bool zero;
	void *to = large_malloc(size, 1, &zero);
	if (!to)
		return NULL;
	if (!os_move(s->start, (uintptr_t)to, s->pages * (size_t)PAGE)) {
		/* Kernels before 6.17 unmap the target before they find that the source is of several mappings (EFAULT), as pages that
		 * were moved before are. Free pages must be mapped; if that fails too, these are never used again. */
		struct span *fresh = arena_span((uintptr_t)to);
		store_relaxed(&fresh->byte, STATE_FREE);
		if (os_map_over((uintptr_t)to, fresh->pages * (size_t)PAGE))
			large_free(fresh, false);
		return NULL;
	}
	store_relaxed(&arena_span((uintptr_t)to)->site, s->site);
	store_relaxed(&s->byte, STATE_FREE);
	heap_account(-(int64_t)s->block);
	arena_give(s, false, true); /* the move left fresh pages */
	return to;
}
