/* Names of frames and the lock that they need (symbols.h: one thread at a time). Inside src/report only. */
#ifndef CGC_REPORT_NAMES_H
#define CGC_REPORT_NAMES_H

#include "backtrace/backtrace.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"

/* Around everything below, and around whatever else a report keeps: growth, suppressions. Not recursive. */
void names_lock(void);
/* false: somebody has it for longer than a report takes, maybe the thread that this handler interrupted. */
bool names_lock_soon(void);
void names_unlock(void); /* lets symbol tables go */
void names_unlock_keeping(void); /* keeps them: the next site is asked for at once */
void names_forked(void);

struct frame_name {
	const char *function;    /* mangled; NULL: unknown. Valid for BACKTRACE_MOST calls, until names_unlock */
	uintptr_t offset;        /* of the call in the function; else in the module; else its address */
	const char *module;      /* path; NULL: generated code */
	uintptr_t place;         /* of the call in the module's file, as addr2line takes it */
	uintptr_t pc;            /* return address */
	uint32_t parent;         /* node */
	uint32_t row;            /* of modules.h, MODULE_NONE */
};
/* node is 1..depot_count(). */
void names_frame(uint32_t node, struct frame_name *f);
void names_module(uint32_t node, struct frame_name *f); /* without its function: nothing is read for it */
/* report_site_id, with the lock. */
uint64_t names_site_id(uint32_t node);
const char *names_last_part(const char *path);
/* FNV-1a (Fowler, Noll, Vo), 64 bits: of n bytes behind what `hash` stands for; NAMES_HASH begins. */
#define NAMES_HASH 0xcbf29ce484222325ull
static inline uint64_t names_hash(uint64_t hash, const void *bytes, size_t n)
{
	for (const uint8_t *b = bytes; n; n--)
		hash = (hash ^ *b++) * 0x100000001b3ull;
	return hash;
}

#endif
