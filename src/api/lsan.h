/* LeakSanitizer's interface, as far as the library's start and end have a part in it. */
#ifndef CGC_API_LSAN_H
#define CGC_API_LSAN_H

#include "base/bits.h"

struct options;

/* Options of the program itself, then those of LSAN_OPTIONS (NULL: not set). In mode=report. */
void lsan_read_options(struct options *o, const char *environment);
/* After report_start: the program's own suppressions. */
void lsan_start(void);
/* Is there to be a report at exit? Not when the program had one made by __lsan_do_leak_check, or when it or LSAN_OPTIONS wants none. */
bool lsan_reports_at_exit(void);

#endif
