/* Processes that outlive a run of cgc run --mode=report. */
#ifndef CGC_TOOLS_RUN_ON_H
#define CGC_TOOLS_RUN_ON_H

/* One line if there are any. folder: where the run's processes report to. */
void run_on_tell(const char *folder);

#endif
