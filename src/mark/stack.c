/*
 * The marker's two stacks: raw edges, and ranges of large blocks.
 *
 *   edges        < limit < mapping     a quarter of the mapping at first; full: edges that lead to nothing new are dropped, and only if half of
 *                                      the limit is still taken, it doubles
 *
 * Blocks that point to each other in masses (perl's arenas of values) pile up edges to what is marked long since: 9 MiB of them beside a heap of 47,
 * where 1 does. Each look through the edges is paid for by as many that were pushed since, or dropped.
 */
#include "mark/extra.h"
#include "mark/inside.h"
#include "base/fault.h"
#include "os/os.h"

enum { SAMPLE = 256, SEAM = 8 /* words that lie across the two ends of a piece, and one more */ };

size_t edges_of_piece(void) { return (size_t)PIECE_WORDS * (marker.extra ? EXTRA_FACTOR : PLAIN_FACTOR); }

void edges_limit(size_t bytes, size_t used)
{
	marker.edge_limit = bytes;
	marker.top = marker.edges + used;
	marker.full = marker.edges + bytes / sizeof *marker.edges - (edges_of_piece() + SEAM);
}

/* Does this edge lead to a block that nobody marked yet? */
static inline bool leads_on(uintptr_t w)
{
	const struct span *s = &arena.spans[load_relaxed(&arena.page_map[(w - marker.base) >> PAGE_SHIFT])];
	uint32_t slot = span_slot(s, w);
	return slot < s->slots && (uint8_t)((s->state[slot] >> 6) - 1) <= 1;
}

/* A look at SAMPLE of the edges tells whether it pays: early in a mark it does not. */
static void prune(void)
{
	const size_t count = (size_t)(marker.top - marker.edges), step = count / SAMPLE + 1;
	size_t seen = 0, wanted = 0;
	for (size_t i = 0; i < count; i += step, seen++)
		wanted += leads_on(marker.edges[i]);
	if (wanted * 2 > seen)
		return;
	const bool careless = fault(FAULT_prune_wanted);
	uintptr_t *kept = marker.edges;
	for (const uintptr_t *edge = marker.edges; edge < marker.top; edge++) { /* no branch an edge, so that many misses are under way */
		*kept = *edge;
		kept += leads_on(*edge) & !careless;
	}
	marker.top = kept;
}

bool edges_more(void)
{
	prune();
	const size_t used = (size_t)(marker.top - marker.edges), twice = 2 * marker.edge_limit;
	if (marker.top <= marker.full && used * sizeof *marker.edges <= marker.edge_limit / 2)
		return true;
	if (twice > marker.edge_bytes) {
		void *bigger = mark_stack_fixed ? NULL : os_remap(marker.edges, marker.edge_bytes, marker.edge_bytes * 2);
		if (!bigger) {
			marker.overflow |= marker.top > marker.full;
			return marker.top <= marker.full;
		}
		marker.edges = bigger;
		marker.edge_bytes *= 2;
	}
	edges_limit(twice, used);
	return true;
}

void push_wide(uintptr_t low, uintptr_t high)
{
	if (marker.wide_top == marker.wide_room) {
		size_t bytes = marker.wide_room * sizeof *marker.wide;
		void *bigger = mark_stack_fixed ? NULL : os_remap(marker.wide, bytes, bytes * 2);
		if (!bigger) {
			marker.overflow = true;
			return;
		}
		marker.wide = bigger;
		marker.wide_room *= 2;
	}
	marker.wide[marker.wide_top++] = (struct wide){ low, high };
}
