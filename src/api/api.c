/* cgc.h. Every call is a thin name for what lies below. */
#include "cgc.h"
#include "cycle/cycle.h"
#include "heap/heap.h"
#include "base/stats.h"

#include <string.h>

const char *cgc_version(void) { return CGC_VERSION; }
void cgc_collect(void) { cycle_collect(); }
void cgc_disable(void) { cycle_disable(); }
void cgc_enable(void) { cycle_enable(); }

void cgc_get_stats(struct cgc_stats *out)
{
	struct heap_totals t;
	struct cgc_stats s = { 0 };
	heap_totals(&t);
	s.size = out->size < sizeof s ? out->size : sizeof s;
	s.cycles = load_relaxed(&stats.cycles);
	for (unsigned i = 1; i < ABORT_REASONS; i++)
		s.aborted += load_relaxed(&stats.aborted[i]);
	s.pause_max_ns = load_relaxed(&stats.pause_max_ns);
	s.pause_p99_ns = stats_pause_percentile(99);
	s.condemned_blocks = load_relaxed(&stats.condemned_blocks);
	s.condemned_bytes = load_relaxed(&stats.condemned_bytes);
	s.recycled_blocks = load_relaxed(&stats.recycled_blocks);
	s.recycled_bytes = load_relaxed(&stats.recycled_bytes);
	s.live_bytes = t.live;
	s.heap_bytes = t.mapped;
	s.evidence = load_relaxed(&stats.evidence);
	s.misuse = load_relaxed(&stats.misuse);
	memcpy(out, &s, s.size);
}
