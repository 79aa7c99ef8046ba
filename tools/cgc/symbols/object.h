/* The file behind a module of a snapshot: found by path if it is still the same one, else its debug file by build id. */
#ifndef CGC_TOOLS_OBJECT_H
#define CGC_TOOLS_OBJECT_H

#include "base/bits.h"

enum { ID_MOST = 32 };

struct symbol { uint64_t address, size; const char *name; };

struct object {
	const char *path;          /* as the process knew it */
	uint8_t id[ID_MOST];
	unsigned id_size;          /* 0: it has none */
	char id_text[2 * ID_MOST + 1];
	uint64_t started_ns;       /* of the process: without a build id, a file that changed since is another one */
	const char *file;          /* what tools are to read; NULL: nothing was found */
	struct symbol *symbols;    /* by address */
	size_t symbol_count;
};

/* Fills file and symbols. debuginfod: ask debuginfod-find for what is not here (it may ask a server). */
void object_locate(struct object *o, bool debuginfod);
/* The function that holds an address of the file, mangled; NULL: none is known. */
const char *object_symbol(const struct object *o, uint64_t address, uint64_t *offset);

#endif
