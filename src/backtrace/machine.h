/* The machine this is built for; one file each. */
#ifndef CGC_BACKTRACE_MACHINE_H
#define CGC_BACKTRACE_MACHINE_H

#if defined(__x86_64__)
#include "backtrace/machine_x86_64.h"
#elif defined(__aarch64__)
#include "backtrace/machine_aarch64.h"
#else
#error "unwinding is to be written for this machine"
#endif

#endif
