/* Where lines go without log_path: the standard error that the program was started with. */
#ifndef CGC_BASE_CONSOLE_H
#define CGC_BASE_CONSOLE_H

#include "base/bits.h"

/* Once, before the program runs: notes which file descriptor 2 is. */
void console_start(void);
/* The program is about to close descriptor 2, and lines are asked for at its end: another descriptor for it, closed by exec. */
void console_keep(void);
/* One write, async-signal-safe. Nobody there any more: the line is lost, and no signal is raised. */
void console_write(const char *line, size_t n);

#endif
