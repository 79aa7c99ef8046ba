/*
 * What a thread remembers of its stacks, so that a capture need not walk (capture.c, follow.c):
 *
 *   kept    the previous stack that was walked, outermost frame first: each frame as it was found, and its node of the depot
 *   reads   the words that undoing these frames read, in the same order: a frame has those behind its predecessor's
 *   tails   the innermost frames of some captures, down to a frame of `kept` that they joined
 *   paths   the ways from our own frames to the program's (own.h)
 *
 *      kept   [0] outermost ── [1] ── ... ── [join-1] ── ...
 *                                               └── tail: frames of the program, then a path: all words are to be as they were
 *
 * A child of fork begins with the first page alone, the kernel wipes the rest (zero is empty): it would copy most of the pages one by one, and so would
 * its parent afterwards. Where a handler on top of a capture forks, nothing is wiped, as the child may go on with that capture.
 * Should a raw clone do so, all words at hand are zero: places of words count from the memory itself, so that zero can be read.
 *
 * Undoing a frame is a function of its registers and of the words that it reads. So where a stack pointer, a frame pointer that is needed,
 * and all words from there on are as they were, the rest of the stack is.
 */
#ifndef CGC_BACKTRACE_THREAD_STACK_H
#define CGC_BACKTRACE_THREAD_STACK_H

#include "backtrace/backtrace.h"
#include "backtrace/known.h"
#include "backtrace/own.h"

enum {
	KEPT = 2048,
	BELIEVED = 2 * BACKTRACE_MOST, /* words further out are not compared again: nobody sees those frames */
	WAYS = 64,
	TAILS = 256,                   /* 64 KiB. Captures that find theirs: sqlite3, perl, python3 99 %, git 77, bash 67, cc1plus 52 (of four times as many 70) */
	TAIL_FRAMES = 3,               /* beside the innermost one they tell tails apart: that is often xmalloc, for everybody */
	TAIL_READS = 12                /* ten frames or so */
};

struct read {
	uintptr_t at, word;            /* at: from the thread_stack on */
};

struct kept {
	uintptr_t sp, pc, fp;
	uint32_t node;
	uint16_t reads;                /* in `reads`, of this frame and those further out */
	uint16_t need;                 /* fp is part of what is further out */
};
_Static_assert(2 * KEPT <= UINT16_MAX, "kept.reads");

/* A new frame, and what undoing it read. */
struct fresh {
	uintptr_t sp, pc, fp;
	uintptr_t pc_at, pc_word;      /* the return address was read here */
	uintptr_t fp_at, fp_word;      /* the caller's fp */
	uint32_t flags;                /* of its rule (known.h), and FRESH_UNREAD */
};
enum { FRESH_UNREAD = 32 };        /* undoing it read nothing */

struct tail {
	uintptr_t sp, pc, fp;          /* of the innermost frame */
	uintptr_t join_sp, join_fp;    /* of kept[join-1] */
	uint32_t join_node, join;
	uint32_t node;                 /* of the whole stack; 0: empty */
	uint16_t count, frames;        /* of read; of the tail */
	uint16_t need;                 /* fp counts */
	struct read read[TAIL_READS];
};

/* Its thread writes everything but `owned` and `next`. */
struct thread_stack {
	struct thread_stack *next;     /* set before it is in the list */
	uint32_t owned;                /* atomic */
	bool kept_by_fork;             /* the rest is not wiped any more */
	/* From here on a child's is wiped. */
	uint32_t generation __attribute__((aligned(4096))); /* of kept, tails and known; 0: they are empty */
	uint32_t count;                /* of kept; 0: nothing is remembered */
	uint32_t least;                /* kept[0, least) are the end of no other stack: further out are frames that are not compared, or none */
	uint32_t in_use;               /* own thread and its handlers */
	uintptr_t in_use_sp;
	bool cut;                      /* the kept stack was */
	uintptr_t top;                 /* above all words that undoing the kept ones read */
	struct backtrace_totals totals; /* own thread writes, anyone reads */
	struct own_paths paths;
	uint8_t way[WAYS];             /* by caller: the path that fitted last */
	struct tail tails[TAILS] __attribute__((aligned(4096))); /* from here on backtrace_rest gives pages back */
	struct known known[KNOWN];
	struct kept kept[KEPT];
	struct read reads[2 * KEPT];
	struct fresh fresh[KEPT];
};

/* The capture that walks, of the thread that t belongs to, called by a function of ours whose stack pointer is sp. *first: the program's
 * innermost frame, that `path` led to; NULL: only pc is set. Keeps its stack, and the tail in *tail. Result: its node; 0: no memory in the depot. */
uint32_t follow(struct thread_stack *t, struct tail *tail, uintptr_t sp, const struct own_path *path, struct kept *first);
/* All frames, without thread memory for them: pcs is for the way. */
uint32_t follow_plainly(const void *caller, uintptr_t *pcs, size_t most);

static inline void thread_stack_count(uint64_t *field, uint64_t n) { store_relaxed(field, *field + n); }

/* The first of [r, end) whose word is another one now; end: none. */
BARE static inline __attribute__((always_inline)) const struct read *reads_differ(const struct thread_stack *t, const struct read *r, const struct read *end)
{
	const uintptr_t base = (uintptr_t)t;
	for (; end - r >= 4; r += 4) { /* no branch a word */
		uintptr_t differ = *(const word_t *)(base + r[0].at) ^ r[0].word;
		differ |= *(const word_t *)(base + r[1].at) ^ r[1].word;
		differ |= *(const word_t *)(base + r[2].at) ^ r[2].word;
		differ |= *(const word_t *)(base + r[3].at) ^ r[3].word;
		if (UNLIKELY(differ))
			break;
	}
	while (r < end && *(const word_t *)(base + r->at) == r->word)
		r++;
	return r;
}

/* The words of kept[0, frames) that are compared begin there. */
static inline __attribute__((always_inline)) uint32_t reads_from(const struct thread_stack *t, uint32_t frames)
{
	return UNLIKELY(frames > BELIEVED) ? t->kept[frames - BELIEVED - 1].reads : 0;
}

#endif
