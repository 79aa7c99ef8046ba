/* What an executable file says about itself. Reads the file only; believes none of its offsets unchecked. */
#ifndef CGC_TOOLS_ELF_H
#define CGC_TOOLS_ELF_H

#include "base/bits.h"

enum elf_kind {
	ELF_UNREADABLE, /* can't be opened or read: `error` is the errno */
	ELF_SCRIPT,     /* starts with #!: `interpreter` and `argument` are what follows */
	ELF_OTHER,      /* neither ELF nor script */
	ELF_DAMAGED,    /* ELF, but an offset or size leads out of the file */
	ELF_PROGRAM     /* all fields hold */
};

struct elf_facts {
	enum elf_kind kind;
	int error;
	unsigned char bits;           /* 32 or 64 */
	unsigned char data;           /* EI_DATA: 1 little endian, 2 big endian */
	uint16_t machine;             /* e_machine */
	bool dynamic;                 /* has PT_INTERP: the kernel starts a loader, which honours LD_PRELOAD */
	bool own_malloc;              /* its dynamic symbols define malloc: that one comes before any preloaded one */
	char interpreter[256];        /* the loader, or the script's interpreter */
	char argument[128];           /* of a script's interpreter; empty: none */
	char sanitizer[32];           /* "AddressSanitizer" and kin; empty: none */
};

/* Fills *facts for the file at `path`. */
void elf_inspect(const char *path, struct elf_facts *facts);
/* The same for n bytes in memory. */
void elf_inspect_bytes(const void *bytes, size_t n, struct elf_facts *facts);

#endif
