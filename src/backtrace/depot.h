/*
 * The depot: a trie of (parent, pc) in its own mapping. A node is a u32; the path from a node to the root is a call stack, the node
 * itself its innermost frame. Nodes are never removed, so readers take no lock; inserts are a CAS on the hash table's place.
 *
 *   root 0 ── __libc_start_main ── main ── load ── xmalloc      one node a frame; shared beginnings are stored once
 *
 * Node 0 is "not recorded".
 */
#ifndef CGC_BACKTRACE_DEPOT_H
#define CGC_BACKTRACE_DEPOT_H

#include "base/bits.h"

struct depot_node {
	uintptr_t pc;              /* set once; a return address (the call is before it) */
	uint32_t parent;           /* set once; 0: outermost frame */
	uint32_t module;           /* row of modules.h in which pc lay when it was inserted; MODULE_NONE: generated code */
};

bool depot_start(void);        /* false: no memory */
/* The child of `parent` with this pc, made if need be; 0: no memory. Lock-free, async-signal-safe. */
uint32_t depot_child(uint32_t parent, uintptr_t pc);
uint32_t depot_count(void);    /* nodes are 1..count; a number that is nobody's has pc 0 */
const struct depot_node *depot_get(uint32_t node); /* 1..count */
/* The stack of `node`, innermost first. Result: frames written. */
size_t depot_stack(uint32_t node, uintptr_t *pcs, size_t most);
/* Mappings of the depot that must not be scanned as roots. In a child of fork nothing is to be done: what an inserter had not linked
 * yet is nobody's. */
void depot_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
