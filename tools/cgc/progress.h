/* One line on standard error about what takes long: only beyond a second, only on a terminal. */
#ifndef CGC_TOOLS_PROGRESS_H
#define CGC_TOOLS_PROGRESS_H

/* `what` as in "reading names of 12 modules"; must stay until progress_end. */
void progress_begin(const char *what);
void progress_tick(void);
/* Takes the line back. */
void progress_end(void);

#endif
