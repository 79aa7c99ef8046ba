/*
 * Modules: which files are mapped where, for the unwinder (call-frame tables), for names, and for reports. Listed at start and after
 * dlopen and dlclose, never from inside malloc; lookups take no lock and call nothing.
 *
 * A module that was closed keeps its row, so that a stack recorded in it keeps its name; its addresses are found no more
 * once another module stands there. The generation counts listings that changed something: cached stacks and rules of an older one
 * are void.
 */
#ifndef CGC_BACKTRACE_MODULES_H
#define CGC_BACKTRACE_MODULES_H

#include "base/bits.h"

enum { BUILD_ID_MOST = 32, MODULE_NONE = UINT32_MAX };

/* Written by modules_list only, before the row is published; `closed` changes later. */
struct module {
	const char *path;              /* absolute, as /proc/self/exe or the loader names it; "[vdso]"; never NULL, never unmapped */
	uintptr_t bias;                /* what the loader added: address = bias + address in the file */
	uintptr_t low, high;           /* its loaded segments */
	uintptr_t text_low, text_high; /* its executable ones */
	uintptr_t eh_frame_hdr;        /* address of .eh_frame_hdr and its size; 0: none */
	size_t eh_frame_hdr_size;
	uint8_t build_id[BUILD_ID_MOST];
	uint8_t build_id_size;         /* 0: none */
	bool closed;                   /* atomic */
	uint32_t opened;               /* generation in which it was first seen */
};

/* Constructor time, and after dlopen and dlclose (outside every lock of ours): walks dl_iterate_phdr. Thread-safe: one lister at a time,
 * a second one waits for none and asks the first to list again. Waits for the loader's lock, so never inside a stop. */
void modules_list(void);
extern uint32_t modules_generation_now; /* atomic */
static inline uint32_t modules_generation(void) { return load_acquire(&modules_generation_now); }
uint32_t modules_count(void);                     /* rows 0..count-1, closed ones included */
const struct module *modules_get(uint32_t index);
/* The module whose segments hold `address`; MODULE_NONE: none. The newest, if several held it one after another.
 * Async-signal-safe. */
uint32_t modules_find(uintptr_t address);
/* fork: a child that is born while another thread is inside dl_iterate_phdr inherits the loader's lock as held, and its first listing
 * would wait for ever. So nobody enters it meanwhile, as far as a bounded wait can tell (who forks may hold what a lister waits for). One
 * fork at a time. modules_fork_parent: true: somebody wanted to list. */
void modules_fork_prepare(void);
bool modules_fork_parent(void);
/* dl_iterate_phdr, but not while a thread forks: false, and nothing was done. */
struct dl_phdr_info;
bool modules_iterate(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);
/* A child of fork: who was listing is gone. */
void modules_forked(void);
void loader_forked(void); /* part of it */
/* Mappings of this table that must not be scanned as roots. */
void modules_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
