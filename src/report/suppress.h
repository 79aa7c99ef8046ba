/* Which sites a report leaves out: suppressions= of the user, and the list that comes with cgc. Inside src/report only, but for the loading. */
#ifndef CGC_REPORT_SUPPRESS_H
#define CGC_REPORT_SUPPRESS_H

#include "report/report.h"

/* After options are read: reads the files (a later chdir or chroot changes nothing then). What can't be read gets one line. */
void report_suppress_start(void);
/* Rules of a text that stays (LeakSanitizer's interface); `name` is for complaints. */
void report_suppress_text(const char *name, const char *text);
/* Before a report_take whose counts are to be told: counts begin anew. */
void report_suppress_begin(void);
/* The last step of report_take, outside the stop: ids, as flags say; which sites are left out, by which rule; their blocks leave the totals, but for
 * reachable ones. Counts for the rules. */
void report_finish(struct report *r, unsigned flags);
/* print_suppressions=1: what each rule left out. */
void report_print_suppressions(void);

#endif
