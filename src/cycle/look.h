/* A look at all blocks inside a cycle's stop: look.c. Inside src/cycle only; what the report asks stands in cycle_parts.h. */
#ifndef CGC_CYCLE_LOOK_H
#define CGC_CYCLE_LOOK_H

#include "cycle/cycle_parts.h"

/* Runs fn(arg) as a cycle would, in the only thread there is, without a stop (cycle.c). false: not to be had now, or fn's. */
bool cycle_alone(bool (*fn)(void *arg), void *arg);
/* Inside a stop, on the collector's stack. */
enum abort_reason look_in_stop(const struct cycle_look *look);
/* A fault ended it in the middle (threads_catch): its marks and sums are dropped. mark_end is to come. */
void look_dropped(const struct cycle_look *look);
void look_few_dropped(void);

#endif
