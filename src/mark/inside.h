/*
 * What the files of src/mark share. One marker, one thread: nothing here is atomic.
 *
 *   root word ──filter──▶ edge stack ──pop: page map, slot, prefetch──▶ ring of 32 ──▶ test and set byte ──▶ scan block
 *                             ▲                                                                              │
 *                             └──────────────────────── words inside the window ◀────────────────────────────┘
 */
#ifndef CGC_MARK_INSIDE_H
#define CGC_MARK_INSIDE_H

#include "heap/heap.h"
#include "mark/mark.h"

enum {
	PIECE = MARK_PIECE,             /* a block is scanned in pieces of this many bytes: what bounds one scan's pushes */
	PIECE_WORDS = PIECE / 8,
	EDGE_BYTES = 1 << 20,           /* first size of the edge stack: 64 pieces of nothing but pointers */
	INTEGER_SHIFTS = 3,             /* integers of languages are addresses shifted by 1 to 3 bits */
	WIDE_BYTES = 4096               /* first size of the stack of ranges */
};

struct wide { /* the rest of a block above PIECE bytes; low and high lie in the same block */
	uintptr_t low, high;
};

struct marker {
	uintptr_t base;                 /* copies of the arena's window, constant during a mark */
	size_t limit;
	uintptr_t *edges, *top, *full;  /* edges <= top <= full; room for a piece's words and those at its ends behind `full` */
	size_t edge_bytes, edge_limit;  /* of the mapping; of the part of it that may be used before edges are looked through */
	struct wide *wide;
	size_t wide_top, wide_room;     /* entries */
	bool overflow;                  /* edges were dropped: some marked block was not scanned */
	bool unreadable;                /* a block could not be read: the view is incomplete (law 8) */
	bool odd;                       /* doubtful ranges or a mutant: the careful loop runs */
	bool avx2;
	bool mangled, odd_words;        /* options, see extra.c */
	unsigned odd_step;              /* bytes from one odd word to the next: 4, 2, 1; 8: none */
	uint32_t rights;                /* protection keys that this thread had closed */
	uintptr_t tag_mask, guard;
	int64_t mangled_mark;           /* the low bits of words that may be mangled; -1: none */
	size_t mangled_from;            /* blocks from this size up may hold a jmp_buf; SIZE_MAX: none */
	uint32_t half, halves;          /* upper halves of the window's addresses: from, how many; 0 without odd_words */
	uint32_t integer_from[INTEGER_SHIFTS], integer_count[INTEGER_SHIFTS]; /* upper halves of shifted addresses; 0: none */
	uint64_t integers;              /* bit i: a word may be such an address if i is (word >> integers_hash) % 64 */
	unsigned integers_hash;
	size_t before;                  /* words this far before a block count too; 0: no */
	bool extra;                     /* all is scanned a second time */
	bool setting_aside;             /* aside.c: inner pointers wait */
	bool exact;                     /* until mark_end, of a report: blocks end where the program's part does (mark_block_end) */
	bool no_interior, no_offsets, no_past_end, no_return, no_seams, lose_edges; /* mutants */
	uint64_t lost;                  /* edges seen by the mutant lose_edges */
	uint64_t blocks, bytes, overflows;
};
extern struct marker marker;

/* Pushes every word of [p, end) that lies in the window; at most PIECE_WORDS words. Result: the new top. */
uintptr_t *scan_words(const word_t *p, const word_t *end, uintptr_t *top);

/* -- stack.c -- */
size_t edges_of_piece(void);        /* what one piece may push at most */
void edges_limit(size_t bytes, size_t used); /* the stack holds `used` edges, and is full when its first `bytes` are taken */
bool edges_more(void);
/* Room for one more piece; edges may have moved then. false: the stack can't grow, the caller drops what it wanted to scan. */
static inline bool edges_room(void) { return LIKELY(marker.top <= marker.full) || edges_more(); }
void push_wide(uintptr_t low, uintptr_t high);

/* -- aside.c -- */
/* An edge to the inside of a block while `setting_aside`. true: it is not followed now. */
bool aside_take(uintptr_t w, const struct span *s, uint32_t slot);
uintptr_t aside_start(uintptr_t w); /* the start of the block that holds w, w itself if there is none */
void aside_begin(void);
void aside_end(void);
void aside_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));
void apart_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

/* -- doubtful.c: blocks that may fault -- */
bool doubtful_overlaps(uintptr_t low, uintptr_t high);
/* Copies [low, high), at most PIECE bytes, without faulting; pages without content read as zero. NULL: it can't be read. */
const word_t *doubtful_read(uintptr_t low, uintptr_t high, enum copy_rule rule);
void doubtful_begin(void);
void doubtful_end(void);
extern uint8_t doubtful_bounce[PIECE];

/* -- absent.c: pages of blocks above PIECE that nobody touched -- */
/* The first address of [low, high), part of a block of s, where there may be something; `high`: there is nothing. *end: how far from there. */
uintptr_t absent_skip(const struct span *s, uintptr_t low, uintptr_t high, uintptr_t *end);
void absent_begin(void);
void absent_end(void);

#endif
