/*
 * The depot: a trie of (parent, pc) in its own mapping. A node is a u32; the path from a node to the root is a call stack, the node
 * itself its innermost frame. Nodes are never removed, so readers take no lock; inserts are a CAS on the hash table's place.
 *
 *   root 0 ── __libc_start_main ── main ── load ── xmalloc      one node a frame; shared beginnings are stored once
 *
 * Node 0 is "not recorded".
 *
 * How a child is found decides what a capture costs in a program with many stacks (a compiler makes half a million), so it is told here: a
 * node knows its first child, and children of one node form a tree of their own, three ways by the hash of pc. Most nodes have one child or
 * a few, and nodes that were made one after the other lie side by side: a frame is one cache line of 32 bytes, which the next frame starts
 * from. A hash table of all (parent, pc) takes three to four, anywhere.
 */
#ifndef CGC_BACKTRACE_DEPOT_H
#define CGC_BACKTRACE_DEPOT_H

#include "base/bits.h"

struct depot_node {
	uintptr_t pc;              /* atomic: a return address (the call is before it), by depot_pc(); DEPOT_BURIED joins it later */
	uint32_t parent;           /* set once; 0: outermost frame */
	uint32_t module;           /* row of modules.h in which pc lay when it was inserted; MODULE_NONE: generated code */
	uint32_t child;            /* atomic, set once: of its children, the one that was made first; 0: none */
	uint32_t sibling[3];       /* atomic, set once: further children of the same parent (depot.c) */
};

enum {
	DEPOT_CHUNK_BITS = 16,
	DEPOT_CHUNK = 1 << DEPOT_CHUNK_BITS,
	DEPOT_CHUNKS = 1024        /* 64 M nodes: 2 GiB */
};
/* A bit that no address has: the module was closed and another one took its place. No capture finds such a node again, so a stack through
 * the new module gets nodes of its own; the old ones keep their names. */
#define DEPOT_BURIED ((uintptr_t)1 << 63)
extern struct depot_node *depot_chunks[DEPOT_CHUNKS]; /* atomic: released after mapping */

bool depot_start(void);        /* false: no memory */
/* The child of `parent` with this pc, made if need be; 0: no memory. Lock-free, async-signal-safe. */
uint32_t depot_child(uint32_t parent, uintptr_t pc);
/* A program that recurses in ever new ways has ever new stacks. Past so many nodes (256 MiB) none is added but outermost frames, and captures
 * whose stack is new are their innermost frame alone (follow.c). Reports say so. */
extern uint32_t depot_most;
bool depot_is_full(void);
uint32_t depot_count(void);    /* nodes are 1..count; a number that is nobody's has pc 0 */
/* 1..count */
static inline __attribute__((always_inline)) const struct depot_node *depot_get(uint32_t node)
{
	return &load_acquire(&depot_chunks[node >> DEPOT_CHUNK_BITS])[node & (DEPOT_CHUNK - 1)];
}
static inline uintptr_t depot_pc(uint32_t node) { return load_relaxed(&depot_get(node)->pc) & ~DEPOT_BURIED; }
/* All nodes of a row of modules.h; or back again, when the same module stands in its old place once more. By the lister of modules, before
 * the new generation is told. */
void depot_bury(uint32_t module, bool buried);
static inline bool depot_started(void) { return load_acquire(&depot_chunks[0]) != NULL; }
/* A hash of pc as a fraction, whose digits to the base three lead from sibling to sibling. */
static inline __attribute__((always_inline)) uint32_t depot_digits(uintptr_t pc) { return (uint32_t)(pc * 0x9E3779B97F4A7C15ull >> 32); }
static inline __attribute__((always_inline)) unsigned depot_digit(uint32_t *digits)
{
	uint64_t three = (uint64_t)*digits * 3;
	*digits = (uint32_t)three;
	return (unsigned)(three >> 32);
}
/* The child of **at with this pc, and then *at is that; 0: none was made yet. The depot is started; **at may be node 0. */
static inline __attribute__((always_inline)) uint32_t depot_find(const struct depot_node **at, uintptr_t pc)
{
	uint32_t node = load_acquire(&(*at)->child);
	const struct depot_node *n = depot_get(node);
	if (UNLIKELY(node && n->pc != pc)) {
		uint32_t digits = depot_digits(pc);
		do
			n = depot_get(node = load_acquire(&n->sibling[depot_digit(&digits)]));
		while (node && n->pc != pc);
	}
	*at = n;
	return node;
}
/* The stack of `node`, innermost first. Result: frames written. */
size_t depot_stack(uint32_t node, uintptr_t *pcs, size_t most);
/* Mappings of the depot that must not be scanned as roots. In a child of fork nothing is to be done: what an inserter had not linked
 * yet is nobody's. */
void depot_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
