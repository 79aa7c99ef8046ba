/* Which programs below the first one are served (children=), and which process is the first (exitcode=). */
#ifndef CGC_PRELOAD_CHILDREN_H
#define CGC_PRELOAD_CHILDREN_H

#include "base/bits.h"

/* From the constructor, after the options were read. Both may replace CGC_OPTIONS in env. */
bool children_serves(char **argv, char **env);
void children_find_first(char **env);
/* Is it this process whose status exitcode= replaces? */
bool children_exitcode(void);

#endif
