/* dlsym for the library itself, since the exported one answers with what the library defines. */
#ifndef CGC_PRELOAD_LOOKUP_H
#define CGC_PRELOAD_LOOKUP_H

#include "base/bits.h"

/* RTLD_NEXT, seen from here. */
void *lookup_behind(const char *name);
void *lookup_in(void *handle, const char *name);
/* libc's own definition, whatever stands before it. */
void *lookup_libcs(const char *name);

#endif
