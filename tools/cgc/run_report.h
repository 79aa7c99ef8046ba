/* `cgc run --mode=report`: the program as our child, and one report of all its processes at the end. */
#ifndef CGC_TOOLS_RUN_REPORT_H
#define CGC_TOOLS_RUN_REPORT_H

#include "plan.h"

/* Is it such a run? Not when snapshot files were asked for: then each process leaves its own, as the library does it. */
bool run_report_wanted(const struct plan *plan);
/* Runs it. The exit status of cgc. */
int run_report(struct plan *plan, char **argv);

#endif
