/* dlclose, and who reads a module's tables without running in it. */
#ifndef CGC_BACKTRACE_LEAVE_H
#define CGC_BACKTRACE_LEAVE_H

#include "base/bits.h"

/* Around reading tables of a module that a guess led to. false: a dlclose is under way, and they may vanish. Async-signal-safe, waits for nobody. */
bool modules_hold(void);
void modules_let_go(void);
/* Around the loader's dlclose, up to the listing behind it: waits a moment for those who hold. */
void modules_leave(void);
void modules_left(void);
/* A child of fork: whoever held or closed is gone, or counts no more. */
void modules_left_behind(void);

#endif
