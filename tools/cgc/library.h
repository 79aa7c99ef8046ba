/* libcgc.so as the command sees it: where it is, how it gets into a program, and whether it really does. */
#ifndef CGC_TOOLS_LIBRARY_H
#define CGC_TOOLS_LIBRARY_H

#include "base/bits.h"

enum { PATH_ROOM = 4096 };

/* The first libcgc.so beside this executable, in ../lib and its kin, or in the configured prefix. false: none; `tried`
 * then names the places. */
bool library_find(char path[PATH_ROOM], char *tried, size_t tried_room);
/* LD_PRELOAD with the library first and what was there before behind it. malloc'ed. */
char *library_preload_list(const char *library, const char *before);
/* Starts this command under `loader` with the library preloaded and lets it look around. NULL: it is there and its
 * malloc is the one in use; else why not, in a static buffer. */
const char *library_check(const char *library, const char *loader);
/* What the started one does: prints its finding on descriptor 1. */
int library_report_loaded(void);
/* The hidden first argument that means the above. */
#define LIBRARY_LOADED_ARGUMENT "--report-loaded"
/* Path of this executable; false: not known. */
bool library_self(char path[PATH_ROOM]);

#endif
