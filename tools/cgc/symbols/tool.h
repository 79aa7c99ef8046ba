/* Other people's programs that know more about code than we do: llvm-symbolizer, addr2line, c++filt, debuginfod-find. */
#ifndef CGC_TOOLS_TOOL_H
#define CGC_TOOLS_TOOL_H

#include "base/bits.h"

/* The program of this name in PATH, or its highest version (NAME-19). malloc'ed; NULL: it is not installed. */
const char *tool_find(const char *name);
/* Runs it on `input`; its whole standard output, ended by NUL, malloc'ed. NULL: it could not be started. network: it may ask servers
 * that the environment names. */
char *tool_run(const char *const argv[], const char *input, size_t size, bool network);

#endif
