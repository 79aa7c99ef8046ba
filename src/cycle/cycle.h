/* The cycle: pace, stop, mark, verdict, sweep. The face of the collector for the shim and the API. */
#ifndef CGC_CYCLE_CYCLE_H
#define CGC_CYCLE_CYCLE_H

#include "base/bits.h"
#include "base/stats.h"

/* After options_parse: sets heap_hooks and the pace. */
void cycle_start(void);
/* One cycle now, by the calling thread. ABORT_NONE or why it ended early. Returns ABORT_NONE without a cycle when another
 * thread is in one. */
enum abort_reason cycle_run(void);
/* As many completed cycles as grace needs, so that what was lost before the call is recycled. */
void cycle_collect(void);
/* Nesting switch: while > 0 no cycle starts by itself. */
void cycle_disable(void);
void cycle_enable(void);

/* fork: no cycle is in flight between prepare and parent/child. */
void cycle_fork_prepare(void);
void cycle_fork_parent(void);
void cycle_fork_child(void);
/* The last step in a child of fork, not in one of a raw clone: signals, blocked since prepare, are as they were. */
void cycle_fork_child_end(void);

/* The program is about to install a filter of system calls: no cycle is in flight when this returns, and none starts. */
void cycle_confine(void);
/* It was not installed after all. */
void cycle_confine_failed(void);

/* Prints the statistics block (stats=1) with say_raw. */
void cycle_print_stats(void);

#endif
