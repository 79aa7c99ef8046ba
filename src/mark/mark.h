/*
 * The marker: from root words to marked state bytes. Inside a stop (or, later, in a snapshot child's image), one thread.
 *
 * Order of calls: mark_begin, mark_cached (slots on alloc lists), then roots by mark_word/mark_range and mark_drain as often
 * as wanted, then mark_verify when asked, then mark_emit, then mark_end. Interior pointers count, and offsets from a block's start to another's; a pointer to one past the
 * end counts for the right neighbour only, unless `exact` spans and a register or stack word meet (heap.h).
 */
#ifndef CGC_MARK_MARK_H
#define CGC_MARK_MARK_H

#include "base/bits.h"
#include "base/stats.h"

struct span;

/* Reserves the edge stack. false: no memory (the cycle ends, law 8). */
bool mark_begin(void);
/* Marks every slot on an alloc list as live without scanning it. false: a list is corrupt. */
bool mark_cached(void);
/* One conservative root word from a register or stack. */
void mark_word(uintptr_t w);
/* All aligned words of [low, high), which must be readable. on_stack: boundary words count for the left block too. */
void mark_range(uintptr_t low, uintptr_t high, bool on_stack);
/* Words at every byte of [low, high), which must be readable: generated code holds pointers as immediates, at any address. (The
 * JVM keeps the holder of an inline cache nowhere else.) */
void mark_code(uintptr_t low, uintptr_t high);
/* The same for memory that may fault or is protected: it is copied first. false: a page could not be read and, by the rule,
 * may have had contents. Of ranges that are given in rising order and touch, words across the seam count, too. */
enum mark_as { MARK_MEMORY, MARK_STACK, MARK_CODE };
enum copy_rule {
	COPY_WHOLE,     /* every page is known to be in memory: all of it must be read */
	COPY_READABLE,  /* readable by protection: a page that faults has no content */
	COPY_PROTECTED, /* a page that faults has no content if /proc/self/mem provably ignores protection */
	COPY_SHARED,    /* of a file in memory: a page that faults has no content unless it is (still) there */
	COPY_SECRET,    /* memfd_secret: the caller alone can load it, and all of it must be read */
	COPY_DEVICE     /* what is no memory is left alone: the kernel tells, and reads nothing */
};
bool mark_range_copied(uintptr_t low, uintptr_t high, enum mark_as as, enum copy_rule rule);
/* Is the word an address of the arena as a language keeps it, which marks count (integers=1)? At any time. */
bool mark_is_integer(uintptr_t w);
/* Follows everything reached so far. */
void mark_drain(void);
/* Blocks that overlap [low, high) may fault when read (the program protected them, or mapped something over them): they are
 * read without faulting. To be called before the first root word of a mark; mark_begin forgets the ranges of the last one. */
void mark_doubtful(uintptr_t low, uintptr_t high);
/* A load at this address faulted: from the next mark on its page is doubtful, wherever it is; for as long as few others are. Is one of [low, high)? */
void mark_fear(uintptr_t at);
bool mark_feared(uintptr_t low, uintptr_t high);
/* After the last drain: false when a block could not be read, so that the cycle must end (law 8). */
bool mark_complete(void);
/* After the last drain: walks every marked block and checks that no word leads to an unmarked block. Number of
 * violations; each of the first few is told by say(). */
size_t mark_verify(void);

/* The dead set, the seam between marker and verdict: records of one span each, as the judge saw it, in one private mapping.
 * A set bit is a slot that was allocated or condemned before this stop and was not marked. */
struct dead_span {
	struct span *span;
	uint8_t *state;       /* where the judge saw the bytes */
	uint64_t block;
	uint32_t slots, class;
	uint64_t bits[];      /* (slots + 63) / 64 words */
};
struct dead_set {
	uint8_t *bytes;       /* records one behind the other */
	size_t size, room;
};
static inline struct dead_span *dead_next(const struct dead_set *set, size_t *at)
{
	if (*at >= set->size)
		return NULL;
	struct dead_span *d = (struct dead_span *)(set->bytes + *at);
	*at += sizeof *d + (d->slots + 63) / 64 * 8;
	return d;
}
/* Clears every mark (marked bytes become allocated, condemned ones that were marked too: they return) and writes the
 * dead set. Slots that carry `stamp` (the current one) are not judged. false: no memory; marks are cleared all the same. */
bool mark_emit(struct dead_set *set, uint8_t stamp);
/* Clears marks without judging: the end of a cycle that was given up after mark_begin. */
void mark_abandon(void);
void mark_end(void);

/* -- for reports (aside.c) -- */
/* After mark_begin, before the first root word: inner pointers are not followed but set aside, but for those on stacks and in registers and
 * those that as_good calls as good as a pointer to the block's start. false: no memory. */
bool mark_set_aside(bool (*as_good)(uintptr_t w, const struct span *s, uint32_t slot));
/* Gives what was set aside to the marker, and nothing is set aside any more; mark_drain follows it. false: memory ran out before, and inner
 * pointers were followed like others. */
bool mark_follow_aside(void);
/* mark_set_aside leaves offsets alone, too. This follows those of the marked blocks that want() wants, and of what they lead to. */
void mark_follow_offsets(bool (*want)(const struct span *s, uint32_t slot));
/* Until mark_end: the words that mark_follow_aside followed. */
const uintptr_t *mark_aside(size_t *count);
/* Until mark_end, `words` words from `at` on, inside one block. false: they cannot be read. */
bool mark_read(uintptr_t at, size_t words, uintptr_t *out);
/* For reports: where the words end in which the program may have put a pointer. What it asked for counts, not the slot (heap/sites.h): what lies
 * behind keeps pointers to what was there before. A word that ends more than four bytes behind holds none, be it at an odd place. */
uintptr_t mark_block_end(const struct span *s, uint32_t slot);
/* Until mark_end: the words of [low, high), part of a block of `block` bytes, that lead into the arena, offsets excepted. At most MARK_PIECE bytes, and room for
 * MARK_PIECE_EDGES. Nothing where they cannot be read. */
enum { MARK_PIECE = 16 * 1024, MARK_PIECE_EDGES = MARK_PIECE / 8 * 14 + 1 };
size_t mark_edges_of(uintptr_t low, uintptr_t high, size_t block, uintptr_t *out);

/* After mark_begin, before mark_cached: marks are written to copies of the state bytes (apart.c), which mark_together drops; there is no mark_abandon
 * then, and nothing may be judged. false: no memory, nothing changed. */
bool mark_apart(void);
void mark_together(void);

struct mark_totals { uint64_t blocks, bytes, overflows; };
void mark_totals(struct mark_totals *t);
/* Test hooks: bytes of the edge stack at mark_begin (0: the usual size), and whether it may grow. */
extern size_t mark_stack_bytes;
extern bool mark_stack_fixed;
/* Memory of this room that must not be scanned. */
void mark_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
