/* Which programs below the first one are served (children=). */
#ifndef CGC_PRELOAD_CHILDREN_H
#define CGC_PRELOAD_CHILDREN_H

#include "base/bits.h"

/* From the constructor, after the options were read. May replace CGC_OPTIONS in env. */
bool children_serves(char **argv, char **env);

#endif
