/* The end of the process, however it comes. */
#ifndef CGC_PRELOAD_END_H
#define CGC_PRELOAD_END_H

#include "base/bits.h"

/* Report and statistics, once a process. Result: the exit status that exitcode= asks for, or -1: leave it. */
int end_process(bool flush);

#endif
