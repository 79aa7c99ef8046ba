/* Where snapshots come from: processes that are asked, and files. */
#ifndef CGC_TOOLS_SOURCE_H
#define CGC_TOOLS_SOURCE_H

#include "view.h"

/* A name that is a number, and no file in the current folder, is a process. */
bool source_is_process(const char *name, int *pid);
/* Reads them all: files by snapshot_open, processes by `request` ("snapshot", "snapshot blocks"). NULL after one line; the exit status is
 * then *status. */
struct view_source *sources_open(char **names, size_t count, const char *request, int *status);
/* Asks a process for a snapshot: a descriptor of `size` bytes, or -1 after one line. */
int source_ask(int pid, const char *request, uint64_t *size);

#endif
