/* The leak report (mode=report): what cannot be reached any more, by the place that allocated it. */
#ifndef CGC_REPORT_REPORT_H
#define CGC_REPORT_REPORT_H

#include "base/bits.h"

/* After options are read: turns on recording of callers when the mode needs it. */
void report_start(void);
/* Runs a cycle that judges and recycles nothing, and prints the report to the log. Result: blocks leaked. */
uint64_t report_at_exit(void);
void report_forked(void);

#endif
