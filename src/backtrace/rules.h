/*
 * Rules: how one frame is undone, 32 bytes an address, cached in a table of our own. A rule is the row that cfi.h finds, reduced to what
 * occurs:
 *
 *   base = register `base` (a slot or the stack pointer)
 *   CFA  = base + cfa, or the word there (frames that realign the stack, signal frames)
 *   each preserved register and the return address: where it was, or in memory at CFA + 8n (or base + 8n)
 *
 * The table is keyed by the address that is looked up (return address - 1, or an interrupted pc) and holds for one generation of
 * modules. It is a cache: a place is replaced when it is needed. Readers and writers take no lock: a writer owns a place while its
 * key is RULE_WRITING, and readers look at the key before and after.
 */
#ifndef CGC_BACKTRACE_RULES_H
#define CGC_BACKTRACE_RULES_H

#include "backtrace/machine.h"

enum { RULE_SAME = MACHINE_NEAREST }; /* the caller's value is still in the register */
enum { RULE_SP = MACHINE_SAVED };  /* `base` is the stack pointer */

enum rule_flags {
	RULE_LOADED = 1,           /* CFA is the word at base + cfa */
	RULE_FROM_BASE = 2,        /* saved[] count from base, not from CFA */
	RULE_RA_FROM_BASE = 4,     /* so does ra */
	RULE_SIGNAL = 8,           /* the caller was interrupted: its pc is exact */
	RULE_OUTERMOST = 16,       /* there is no caller */
	RULE_NONE = 32,            /* no call-frame information: the frame may be kept by the frame pointer */
	RULE_ROW = 64,             /* does not fit: take the row itself (rules_row) each time */
	RULE_CALLED = 128          /* a call instruction ends behind this address: it can be a return address */
};

struct rule {
	uint32_t generation;
	int32_t cfa;
	int16_t ra;                /* words; RULE_SAME: as the link register's slot says */
	int16_t lowest;            /* of saved[] and ra; without flags all of them are below CFA, and ra is right below it */
	uint8_t base, flags;
	machine_offset saved[MACHINE_SAVED]; /* words */
} __attribute__((aligned(8)));

enum { RULE_WORDS = sizeof(struct rule) / 8, RULE_WRITING = 1 };

/* One place of the table. key: 0 empty, RULE_WRITING, or the address; all fields atomic. */
struct rule_place {
	uintptr_t key;
	uint64_t words[RULE_WORDS];
};
struct rule_table {
	size_t mask;               /* places - 1; a set is two neighbours */
	uint32_t replaced;         /* atomic: places taken from another address */
	struct rule_place places[] __attribute__((aligned(CACHE_LINE)));
};
extern struct rule_table *rule_table; /* atomic; replaced by larger ones, never freed */

bool rules_start(void);
/* Rule of the address, from call-frame information; cached. Result in *rule always (RULE_NONE at worst). */
void rules_read(uintptr_t at, uint32_t generation, struct rule *rule);
/* The row behind RULE_ROW, and the module that it came from. */
struct cfi_row;
struct cfi_image;
bool rules_row(uintptr_t at, struct cfi_row *row, struct cfi_image *image);
void rules_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

static inline size_t rule_set(uintptr_t at, size_t mask) { return (size_t)((at * 0x9E3779B97F4A7C15ull) >> 40) & mask & ~(size_t)1; }

/* true: *rule is that of `at` in this generation. */
static inline __attribute__((always_inline)) bool rules_cached(uintptr_t at, uint32_t generation, struct rule *rule)
{
	const struct rule_table *t = load_acquire(&rule_table);
	const struct rule_place *p = &t->places[rule_set(at, t->mask)];
	if (load_acquire(&p->key) != at && load_acquire(&(++p)->key) != at)
		return false;
	union { struct rule r; uint64_t words[RULE_WORDS]; } copy;
	for (unsigned i = 0; i < RULE_WORDS; i++)
		copy.words[i] = load_relaxed(&p->words[i]);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the writer's release of its key */
	*rule = copy.r;
	return load_relaxed(&p->key) == at && copy.r.generation == generation;
}

#endif
