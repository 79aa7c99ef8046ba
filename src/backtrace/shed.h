/* What shed.c wants to know: the record at `record` of the module was read. */
#ifndef CGC_BACKTRACE_SHED_H
#define CGC_BACKTRACE_SHED_H

#include "backtrace/cfi.h"

void shed_note(const struct cfi_image *m, uintptr_t record);
void shed_forked(void);

#endif
