/* The symbols of one ELF file, for symbols.c: nothing but bounded reads of bytes that may come from anywhere. Of a large file only what is looked at is
 * loaded. */
#ifndef CGC_BACKTRACE_SYMBOLS_FILE_H
#define CGC_BACKTRACE_SYMBOLS_FILE_H

#include "base/bits.h"

struct symbol {
	uint64_t address, size; /* in the file's own addresses; size 0: up to the next one */
	uint32_t name;          /* offset in the names */
	uint32_t worth;         /* of two at one address, which is kept */
};
struct symbol_file {
	const uint8_t *bytes;
	size_t size;
	/* Before n bytes at `offset`, inside the file, are looked at for the first time. false: they can't be had. NULL: all bytes are there. */
	bool (*load)(void *arg, uint64_t offset, uint64_t n);
	void *arg;
	const char *names;      /* names_size bytes, the last one 0 */
	size_t names_size;
	const uint8_t *table;   /* records of an ELF symbol table; NULL: none */
	size_t count;
	uint8_t build_id[32];
	uint8_t build_id_size;
};

/* Finds .symtab, else .dynsym (by its section), and the build id. false: no ELF file of this machine's kind, or damaged; no table
 * is no damage. */
bool symbol_file_open(struct symbol_file *f, const uint8_t *bytes, size_t size, bool (*load)(void *arg, uint64_t offset, uint64_t n), void *arg);
/* Functions of the table, sorted by address, into out[most]. Result: how many. Names are inside the names. */
size_t symbol_file_read(const struct symbol_file *f, struct symbol *out, size_t most);
/* The symbol that holds `address`; NULL: none. */
const struct symbol *symbol_search(const struct symbol *sorted, size_t count, uint64_t address);

/* As symbol_file_read and symbol_search, without memory, in a time that grows with the table: false, or *out. For a few questions. */
bool symbol_file_find(const struct symbol_file *f, uint64_t address, struct symbol *out);

#endif
