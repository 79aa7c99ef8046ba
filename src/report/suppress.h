/* Which sites a report leaves out: suppressions= of the user, and the list that comes with cgc. Inside src/report only, but for the loading. */
#ifndef CGC_REPORT_SUPPRESS_H
#define CGC_REPORT_SUPPRESS_H

#include "report/report.h"

/* After options are read: reads the files (a later chdir or chroot changes nothing then). What can't be read gets one line. */
void report_suppress_start(void);
/* Rules of a text that stays (LeakSanitizer's interface); `name` is for complaints. */
void report_suppress_text(const char *name, const char *text);
/* Asked by report_take for each site with a kind other than reachable, its s.frame and s.kind being final: fills in s->suppression and
 * flag 1 of s->s.flags, and counts for the rule. true: every lost or possible kind of the site is left out. One thread at a time. */
bool report_suppress(struct report_site *s);
/* print_suppressions=1: what each rule left out. */
void report_print_suppressions(void);

#endif
