/*
 * What a thread remembers of its stacks, so that a capture need not walk (capture.c, follow.c):
 *
 *   kept    the previous stack that was walked, outermost frame first: each frame as it was found, and its node of the depot
 *   reads   the words that undoing these frames read, in the same order: a frame has those behind its predecessor's
 *   tails   the innermost frames of some captures, ours included, down to a frame of `kept` that they joined
 *   paths   the ways from our own frames to the program's (own.h)
 *
 *      kept   [0] outermost ── [1] ── ... ── [join-1] ── ...
 *                                               └── tail: frames of the program, then ours: all words are to be as they were
 *
 * Tails are found by guessing (capture.c), else in a set by the program's innermost frames. Whether one joins `kept` is known for as long as
 * that is the same (`stamp`). All of it zero is a thread that remembers nothing; when a part is made zero, the tails must be too, because
 * they believe in the stamp.
 *
 *   known   what frames of call sites are like (known.h); young: the same of a child's first captures, copied from what its parent knew
 *
 * A child of fork begins with the first part alone, which it reads, the kernel wipes the rest (zero is empty): it would copy most of the pages one by one,
 * and so would its parent afterwards. Where a handler on top of a capture forks, nothing is wiped, as the child may go on with that capture.
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
	TAIL_SETS = 64,
	TAIL_WAYS = 4,                 /* 64 KiB */
	TAIL_FEW = 3,                  /* sets, less one, of a thread that allocated from few places: a page, */
	TAIL_SOME = 15,                /* and when more of these fell out than FEW_FELL: four, */
	FEW_FELL = 12,
	SOME_FELL = 128,               /* until so many did */
	TAIL_FRAMES = 3,               /* beside the innermost one they tell sets apart: that is often xmalloc, for everybody */
	TAIL_READS = 16,               /* ten frames or so behind ours */
	RECENT = 256
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

/* A capture as it was: from these registers, with these words on the stack, and then as kept[0, join) is. */
struct tail {
	uintptr_t here;                /* stack pointer of backtrace_here; 0: empty */
	uintptr_t pc;                  /* the program's innermost frame is at */
	uintptr_t fp, by_fp;           /* the program's, if it counts and is still in the register: then by_fp is all ones, else 0 */
	uint64_t stamp;                /* of `kept` when it was as join_* say */
	uintptr_t join_sp, join_fp;    /* of kept[join-1] */
	uint32_t join_node, join;
	uint32_t node;                 /* of the whole stack */
	uint32_t frames;               /* of the whole stack */
	uint16_t next;                 /* bytes from tails[0][0]: the one that held after it, last time */
	uint8_t blocks;                /* four words each; what is left of the last is one of them again */
	bool used;                     /* since its set last had no room */
	uint16_t at[TAIL_READS];       /* in words from `here` */
	uintptr_t word[TAIL_READS];
} __attribute__((aligned(CACHE_LINE)));
_Static_assert(sizeof(struct tail) * (TAIL_SETS * TAIL_WAYS - 1) <= UINT16_MAX, "tail.next");

/* Its thread writes everything but `owned` and `next`. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what is wiped and what is given back begin with a page */
struct thread_stack {
	struct thread_stack *next;     /* set before it is in the list */
	uint32_t owned;                /* atomic */
	bool kept_by_fork;             /* the rest is not wiped any more */
	bool of_child;                 /* it was, once: `known` is a parent's, and to be copied by whoever writes there */
	uint32_t known_generation;     /* of `known` */
	uint8_t way[WAYS];             /* by caller: the path that fitted last */
	struct own_paths paths;
	struct known known[KNOWN] __attribute__((aligned(4096)));
	/* From here on a child's is wiped. */
	uint32_t generation __attribute__((aligned(4096))); /* of kept, tails and young; 0: they are empty */
	uint32_t count;                /* of kept; 0: nothing is remembered */
	uint32_t least;                /* kept[0, least) are the end of no other stack: further out are frames that are not compared, or none */
	uint32_t in_use;               /* own thread and its handlers */
	uintptr_t in_use_sp;
	uint64_t stamp;                /* another one whenever `kept` changes */
	uint32_t last;                 /* bytes from tails[0][0]: the tail that held last */
	uint32_t more_sets;            /* | TAIL_FEW: sets of `tails` in use, less one. 0, TAIL_SOME, or all of them */
	uint32_t turned_out;           /* tails, of full sets while these were not all */
	uint32_t turn;                 /* whose place the next tail of a full set takes */
	bool cut;                      /* the kept stack was */
	uintptr_t top;                 /* above all words that undoing the kept ones read */
	uint64_t held;                 /* captures whose tail held; own thread writes, anyone reads, as the rest of the totals, which are without them */
	struct backtrace_totals totals;
	struct kept first;             /* of the capture under way: the program's innermost frame */
	uint16_t recent[RECENT];       /* as tail.next */
	struct known young[KNOWN_YOUNG];
	struct tail tails[TAIL_SETS][TAIL_WAYS] __attribute__((aligned(4096))); /* from here on backtrace_rest gives pages back */
	struct kept kept[KEPT];
	struct read reads[2 * KEPT];
	struct fresh fresh[KEPT];
};

/* The capture that walks, of the thread that t belongs to, called by a function of ours whose stack pointer is sp. t->first: the program's
 * innermost frame, that `path` led to; NULL: only its pc is set. Keeps its stack, and a tail in `set`, if there is a path. Result: its node; 0: no
 * memory in the depot. */
uint32_t follow(struct thread_stack *t, struct tail *set, uintptr_t sp, const struct own_path *path);
/* Tails fell out of full sets: more of them; with all sets, all of `known`. */
void thread_stack_more(struct thread_stack *t);
/* All frames, without thread memory for them: pcs is for the way. */
uint32_t follow_plainly(const void *caller, uintptr_t *pcs, size_t most);

/* What is kept is nothing any more; a handler may leave for good before it is something again. */
static inline __attribute__((always_inline)) void thread_stack_drop(struct thread_stack *t)
{
	t->stamp++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->count = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}
static inline __attribute__((always_inline)) struct tail *tail_at(struct thread_stack *t, uint32_t bytes) { return (struct tail *)((char *)t->tails + bytes); }
static inline __attribute__((always_inline)) uint16_t tail_bytes(const struct thread_stack *t, const struct tail *e) { return (uint16_t)((const char *)e - (const char *)t->tails); }
/* Where call sites are looked up: few sets of tails need few. */
struct known_table {
	struct known *places;
	const struct known *elder;     /* NULL, or where else */
	uint32_t mask;
};
static inline __attribute__((always_inline)) struct known_table thread_stack_known(struct thread_stack *t)
{
	if (t->more_sets == TAIL_SETS - 1)
		return (struct known_table){ t->known, NULL, KNOWN - 1 };
	if (!t->of_child)
		return (struct known_table){ t->known, NULL, KNOWN_FEW - 1 };
	return (struct known_table){ t->young, t->known, KNOWN_YOUNG - 1 };
}
/* By registers of backtrace_here: the tail that held last. */
static inline __attribute__((always_inline)) uint16_t *recent_at(struct thread_stack *t, uintptr_t here, uintptr_t pc)
{
	return &t->recent[((here ^ pc) * 0x9E3779B97F4A7C15ull) >> 56];
}
_Static_assert(RECENT == 1 << (64 - 56), "the shift of recent_at()");
/* The capture's tail is e, which was no guess of the two. */
static inline __attribute__((always_inline)) void tail_is(struct thread_stack *t, const struct tail *e)
{
	uint16_t bytes = tail_bytes(t, e);
	*recent_at(t, e->here, e->pc) = bytes;
	tail_at(t, t->last)->next = bytes;
	t->last = bytes;
}

static inline void thread_stack_count(uint64_t *field, uint64_t n) { store_relaxed(field, *field + n); }

BARE static inline __attribute__((always_inline)) uintptr_t four_differ(uintptr_t base, const struct read *r)
{
	uintptr_t differ = *(const word_t *)(base + r[0].at) ^ r[0].word;
	differ |= *(const word_t *)(base + r[1].at) ^ r[1].word;
	differ |= *(const word_t *)(base + r[2].at) ^ r[2].word;
	differ |= *(const word_t *)(base + r[3].at) ^ r[3].word;
	scalar(&differ);
	return differ;
}

/* Are all words of [r, end) as they were? By fours, without a branch a word; the second four begin among the first if need be. */
BARE static inline __attribute__((always_inline)) bool reads_same(const struct thread_stack *t, const struct read *r, const struct read *end)
{
	const uintptr_t base = (uintptr_t)t;
	uintptr_t differ = 0;
	if (UNLIKELY(end - r < 4)) {
		for (; r < end; r++)
			differ |= *(const word_t *)(base + r->at) ^ r->word;
		return !differ;
	}
	differ = four_differ(base, r);
	for (r += (end - r - 1) % 4 + 1; r != end; r += 4)
		differ |= four_differ(base, r);
	return !differ;
}

/* The first of [r, end) whose word is another one now; end: none. */
BARE static inline __attribute__((always_inline)) const struct read *reads_differ(const struct thread_stack *t, const struct read *r, const struct read *end)
{
	const uintptr_t base = (uintptr_t)t;
	while (end - r >= 4 && LIKELY(!four_differ(base, r)))
		r += 4;
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
