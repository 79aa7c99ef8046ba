/* The bytes of a file that somebody else may change while they are read. */
#ifndef CGC_TOOLS_TAKE_H
#define CGC_TOOLS_TAKE_H

#include "base/bits.h"
#include <sys/stat.h>

/* A copy of the first n bytes, to be unmapped by munmap(it, n); NULL for n = 0. NULL with *wrong set, as "WHAT: HINT": it
 * can't be had, or has more than 4 GiB. */
const void *take_copy(int fd, uint64_t n, const char **wrong);
/* As above, for a file that lies on disk: mapped where only root and the user of this command can change it, for debug files are large; else a copy. */
const void *take_file(int fd, const struct stat *st, const char **wrong);

#endif
