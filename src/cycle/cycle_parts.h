/* What the rooms above the cycle may ask of it beyond its face: the report looks at a dead set. */
#ifndef CGC_CYCLE_CYCLE_PARTS_H
#define CGC_CYCLE_CYCLE_PARTS_H

#include "cycle/cycle.h"
#include "mark/mark.h"

/* Gets the dead set of one cycle, after the resume, on the collector's stack (256 KiB), all signals blocked. */
typedef void (*cycle_visitor)(const struct dead_set *set);

/* One cycle whose dead set goes to `visit` and to no verdict: nothing is condemned or recycled by it. Waits for another
 * thread's cycle. */
enum abort_reason cycle_visit_dead(cycle_visitor visit);
/* Runs fn inside a stop, on the collector's stack, without a mark. Called by the program's threads in the middle of free, so it
 * waits for another's cycle 100 ms at most, and for no fork. false: fn did not run. */
bool cycle_in_stop(void (*fn)(void *arg), void *arg);

#endif
