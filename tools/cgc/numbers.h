/* Numbers as people read them, in a ring of static buffers. */
#ifndef CGC_TOOLS_NUMBERS_H
#define CGC_TOOLS_NUMBERS_H

#include "base/bits.h"

const char *number_text(uint64_t n);              /* 12,040 */
const char *bytes_text(uint64_t n);               /* 912 B, 31.0 MiB */
const char *change_text(int64_t bytes);           /* +52.0 KiB, -3 B */
const char *rate_text(double bytes_per_second);   /* +52 KiB/s, +3 KiB/h */
const char *blocks_text(uint64_t n);              /* 1 block, 8,113 blocks */
const char *age_text(uint64_t ns);                /* 90 s, 12 min, 2 h 10 min */

#endif
