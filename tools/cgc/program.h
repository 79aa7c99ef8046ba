/* The program that is to run: where it is, and whether a preloaded library can serve it. */
#ifndef CGC_TOOLS_PROGRAM_H
#define CGC_TOOLS_PROGRAM_H

#include "elffile.h"
#include "library.h"

struct program {
	char path[PATH_ROOM];   /* what is executed */
	char loader[256];       /* the loader it starts with; empty: not known */
};

/* Looks `name` up as execvp does and judges it. 0, or the exit status with which cgc must end; one line was printed. */
int program_find(const char *name, const char *library, struct program *p);

#endif
