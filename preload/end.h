/* The end of the process, however it comes (exit.c). */
#ifndef CGC_PRELOAD_END_H
#define CGC_PRELOAD_END_H

#include "base/bits.h"

/* The constructor's last step: whoever registers an exit handler later is heard before us. */
void end_start(void);
void end_forked(void);
/* A filter of system calls comes: what can be told is told now. */
void end_early(const char *why);
/* report_on=: before another program takes the process over; in a handler of ours, before the signal ends it. */
void end_by_exec(void);
void end_by_signal(int number);

#endif
