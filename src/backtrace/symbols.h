/*
 * Names of code, from .symtab or .dynsym of the module's file. For reports, never from
 * inside malloc: files are opened and mapped by raw system calls, and unmapped by symbols_drop.
 */
#ifndef CGC_BACKTRACE_SYMBOLS_H
#define CGC_BACKTRACE_SYMBOLS_H

#include "base/bits.h"

/* The function that holds `address` (for a return address ask for pc - 1), mangled, and the offset in it. false: none known; *offset is
 * then from the module's bias. The name stays valid until symbols_drop. One thread at a time. */
bool symbols_find(uintptr_t address, const char **name, uintptr_t *offset);
/* The row of modules.h in which the call of a depot node lies, also if its module was listed later: dlopen does not tell of its end.
 * MODULE_NONE: generated code, or its module is gone. */
uint32_t symbols_module(uint32_t node);
/* As symbols_find, for a depot node, whose module may be closed or replaced since. */
bool symbols_of_node(uint32_t node, const char **name, uintptr_t *offset, const char **module);
void symbols_drop(void);
/* In a child of fork, when another thread was at it: its mappings are left. */
void symbols_forked(void);

#endif
