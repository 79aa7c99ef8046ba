/* When a cycle starts. Inside src/cycle only. All under the collect lock except pace_wants. */
#ifndef CGC_CYCLE_PACE_H
#define CGC_CYCLE_PACE_H

#include "base/bits.h"
#include "base/stats.h"

void pace_start(void);
/* Called by a thread whose refill passed the watched growth. Cheap; any thread. */
bool pace_wants(void);
/* Live memory is past the bound from which memory wins over CPU. */
bool pace_over(void);
/* After a completed cycle: what it cost and found. */
void pace_completed(uint64_t cpu_ns, size_t marked_bytes, bool found);
/* After one that ended early. */
void pace_aborted(uint64_t cpu_ns);

#endif
