/* What a report says of the process itself. Raw calls only. Inside src/report only. */
#ifndef CGC_REPORT_PROGRAM_H
#define CGC_REPORT_PROGRAM_H

#include "base/bits.h"

/* The path of the executable. Result: buf. */
const char *program_path(char *buf, size_t cap);
/* Arguments joined by blanks, bytes that a terminal would act upon as '?', "..." where they do not fit. Result: buf; cap >= 16. */
const char *program_command(char *buf, size_t cap);
uint64_t program_rss(void); /* bytes; 0: unknown */

#endif
