/*
 * The heap: an arena of 64 KiB pages, a page map, spans of equal slots, one state byte a slot, caches per thread.
 *
 *   address ──▶ page map[ (address - base) >> 16 ] ──▶ span ──▶ slot = (address - start) * magic >> 64
 *                                                        └────▶ state[slot]
 *
 * A state byte is one of
 *   0x00          free: on a list of free slots, or never handed out
 *   0x01          recycled: judged dead twice; handed out again by sweep, which alone may change it
 *                 (or back into a block, when its allocation site turned out to hide pointers)
 *   0x02          being filled with the stress pattern on its way to recycled
 *   0x40          altered: a block whose pages the program protected or replaced, which is never recycled (altered.h)
 *   0x40 | stamp  condemned: found unreachable by the cycle whose stamp it carries
 *   0x80 | stamp  allocated (the stamp is that of its refill, or any older one)
 *   0xC0 | stamp  allocated and marked: only inside a stop (or in a child's image), never seen by running threads
 *
 * The global stamp (6 bits, 1..63 then 1 again) advances only inside a stop. Refill writes the current stamp, so after a
 * stop every byte that carries the current stamp was written after it, and the verdict leaves it alone (law 7).
 */
#ifndef CGC_HEAP_HEAP_H
#define CGC_HEAP_HEAP_H

#include "base/bits.h"
#include "base/lock.h"

enum {
	PAGE_SHIFT = 16,
	PAGE = 1 << PAGE_SHIFT,   /* 64 KiB: page map granularity */
	OS_PAGE = 4096,
	CLASSES = 59,             /* 0..51 for malloc, then natural classes for aligned blocks, see classes.c */
	NATURAL = 52,             /* the first natural class */
	CLASS_LARGE = 63,         /* span.class of a large block */
	SMALL_MAX = 64 * 1024,    /* largest size that has a class */
	TABLE_MAX = 4096          /* class_table serves sizes below this */
};

enum state_bits {
	STATE_FREE = 0x00,
	STATE_RECYCLED = 0x01,
	STATE_FILLING = 0x02,
	STATE_CONDEMNED = 0x40,
	STATE_ALTERED = 0x40,   /* exactly this byte: no stamp is 0 */
	STATE_ALLOCATED = 0x80,
	STATE_MARKED = 0xC0,
	STATE_STAMP = 0x3F
};
static inline bool state_is_allocated(uint8_t b) { return b & 0x80; }
static inline bool state_is_condemned(uint8_t b) { return (b & 0xC0) == 0x40 && b != STATE_ALTERED; }
static inline bool state_is_marked(uint8_t b) { return (b & 0xC0) == 0xC0; }
/* What a marked byte becomes when its mark is taken away. */
static inline uint8_t state_unmarked(uint8_t b) { return b == STATE_MARKED ? STATE_ALTERED : b & ~STATE_CONDEMNED; }
/* A block that somebody may still hold: allocated, altered or condemned, marked or not. */
static inline bool state_is_block(uint8_t b) { return b & 0xC0; }

enum span_kind { SPAN_NONE, SPAN_SMALL, SPAN_LARGE, SPAN_FREE_RUN };

struct slot {
	struct slot *next;
	uintptr_t key;  /* on a cache's list: slot_key of its state byte, so that refill need not look it up and a stale free of
	                   the slot is caught; the top bit flipped: contents known to be zero */
};
enum { KEY_ZERO_BIT = 63 };

struct cache;

/* Descriptors are type-stable and never unmapped, so a stale index always leads to a span. Two lines: the first is all that
 * free, the marker and lookup need. */
struct span {
	uintptr_t start;          /* address of slot 0; constant while the span is in the page map */
	uint64_t magic;           /* ceil(2^64 / block); 0 for large spans, so that every offset is slot 0 */
	uint64_t block;           /* bytes a slot; for a large span the bytes that may be used (scanned by the marker) */
	uint8_t *state;           /* slots bytes, outside the heap, never unmapped */
	struct cache *owner;      /* atomic. Written by: the owner (to NULL, when it abandons), an adopter under caches lock,
	                             or the collector inside a stop or fork. NULL: large, free, abandoned or sentinel */
	uint32_t slots;           /* 0: not a span that holds blocks (sentinel, free run) */
	uint8_t kind;             /* enum span_kind */
	uint8_t class;
	bool exact;               /* blocks fill their slot to the last byte: a boundary word in a register or on a stack
	                             counts for the left block too */
	bool zero;                /* slots from `virgin` on were never written: they read as zero */
	struct slot *free;        /* owner: slots with byte 0, received back */
	union {
		uint32_t virgin;      /* small, owner: slots from here on were never handed out */
		uint32_t spare;       /* large: bytes that were not asked for, plus one (sites.c) */
	};
	uint32_t out;             /* owner writes, the collector reads inside a stop: slots handed to alloc lists minus slots
	                             received back. The span is empty when out == recycled (never by looking at bytes) */
	/* second line */
	struct slot *remote;      /* atomic: slots (byte 0) freed by other threads; pushed by CAS, taken whole by the owner */
	int32_t recycled;         /* atomic: slots with STATE_RECYCLED, counted by the verdict after its CAS; may be -1 for an
	                             instant when sweep was faster */
	uint32_t next, prev;      /* index; owner's list for its class, abandoned list, or bin of free runs */
	union {
		uint32_t sweep_at;    /* small, owner: sweep goes on from this slot */
		uint32_t site;        /* large: who allocated it */
		uint32_t freed_at;    /* free run: when, in coarse milliseconds, for the purge; wraps after 49 days */
	};
	uint32_t pages;           /* arena pages, of SPAN_FREE_RUN too */
	uint8_t byte;             /* the state byte of a large span: state == &byte */
	uint8_t list;             /* which list it stands in: enum in cache.c */
	bool dirty;               /* free run: its pages may hold old contents */
	bool was_recycled;        /* free run: blocks in it were recycled, so a late free into it is evidence (law 9) */
	uint32_t index;           /* own index; this field and those below outlive the span */
	uint32_t queued;          /* atomic flag: the descriptor stands in some cache's inbox. Written by notify and drain only,
	                             whatever becomes of the span meanwhile */
	uint32_t inbox_next;      /* index of the next span in that inbox */
	struct state_box *box;    /* small: where the state bytes come from and go back to */
	uint32_t *sites;          /* small, atomic: who allocated each slot; NULL unless a mode that reports needs it */
};
_Static_assert(sizeof(struct span) == 128, "an index becomes an address by a shift; the first line is all that is hot");

/* Descriptors that stand for what is no span; slots == 0 in each. */
enum {
	SPAN_SENTINEL = 0, /* never handed out */
	SPAN_VOID = 1,     /* free pages whose blocks were recycled: a late free is evidence */
	SPAN_HOLE = 2,     /* inside the window, but not ours */
	SPAN_FIRST = 3
};

/* Read-mostly. One line that every free and every marked word reads. */
struct arena {
	uintptr_t base;           /* constant after start */
	size_t limit;             /* atomic: bytes of the window that have a page map entry; released after the entry exists */
	uint32_t *page_map;       /* atomic entries, released before the first pointer into the span escapes (law 5) */
	struct span *spans;
	uint64_t factor;          /* odd, secret: keys of cached slots */
	uint8_t stamp;            /* current stamp; written inside a stop only */
	bool started;
	/* what slow paths need besides */
	uint64_t inverse;         /* of `factor` */
	uintptr_t bytes_low, bytes_size; /* where state bytes can be */
	uintptr_t key;            /* secret: links of free slots */
} __attribute__((aligned(CACHE_LINE)));
extern struct arena arena;

/* The key of the slot whose state byte is at `byte`. A product: whoever overwrites any part of it changes all of what it stands for. */
static inline uintptr_t slot_key(const uint8_t *byte) { return (uintptr_t)byte * arena.factor; }
/* And back. NULL: it is no key, or one with the top bit flipped. */
static inline uint8_t *slot_byte(uintptr_t key)
{
	const uintptr_t byte = key * arena.inverse;
	return LIKELY(byte - arena.bytes_low < arena.bytes_size) ? (uint8_t *)byte : NULL;
}
/* Does this second word of a slot say that it stands on a list? (Whose list, the byte tells.) */
static inline bool slot_is_cached(uintptr_t word, const uint8_t *byte) { return (word ^ slot_key(byte)) << 1 == 0; }

/* Is this word an address of the arena's window? The page may still be free. */
static inline bool arena_contains(uintptr_t w) { return w - arena.base < load_acquire(&arena.limit); }

/* The span that holds address w, which must be in the window; the sentinel (slots == 0) when no block can be there. */
static inline struct span *arena_span(uintptr_t w)
{
	return &arena.spans[load_acquire(&arena.page_map[(w - arena.base) >> PAGE_SHIFT])];
}

/* Index of the slot that holds w; may be >= slots in the tail of a span. Exact for every class and offset (tested). */
static inline uint32_t span_slot(const struct span *s, uintptr_t w)
{
	return (uint32_t)(((unsigned __int128)(w - s->start) * s->magic) >> 64);
}
/* The same for a pointer that should be a block's start. *start: it is one. By the low half of the product: the fraction of a
 * multiple of `block` is less than magic, that of any other offset is not (Lemire, Kaser, Kurz: Faster remainder by direct
 * computation, 2019). Not for large spans. */
static inline uint64_t span_slot_start(const struct span *s, uintptr_t w, bool *start)
{
	unsigned __int128 product = (unsigned __int128)(w - s->start) * s->magic;
	*start = (uint64_t)product < s->magic;
	return (uint64_t)(product >> 64);
}
static inline uintptr_t span_address(const struct span *s, uint32_t slot) { return s->start + slot * s->block; }
/* Whether s has slots that are, or could be, blocks. */
static inline bool span_holds_blocks(const struct span *s) { return (s->kind == SPAN_SMALL || s->kind == SPAN_LARGE) && s->slots; }

/* Descriptor slots in use: indices 0..span_count()-1 may be walked at any time (kind tells what each is). */
uint32_t span_count(void);

/* -- blocks. Thread-safe, callable at any time: before constructors, after thread teardown, and in handlers that do not interrupt malloc or free
 * themselves (one that does may get a slot twice, in the fast path; other mallocs deadlock there). -- */
/* `caller` is the return address that a report names. */
void *heap_malloc(size_t size);                 /* NULL: no memory (callers set errno) */
void *heap_calloc(size_t count, size_t size);   /* NULL also on overflow */
void *heap_aligned(size_t align, size_t size);  /* align a power of two */
void *heap_calloc_from(size_t count, size_t size, const void *caller);
void *heap_aligned_from(size_t align, size_t size, const void *caller);
void *heap_realloc_from(void *p, size_t size, const void *caller);
void *heap_realloc(void *p, size_t size);       /* size > 0; p stays valid on NULL */
void heap_free(void *p);                        /* NULL is ignored */
void *heap_next(size_t size);                   /* what the calling thread's next malloc(size) below TABLE_MAX will return; NULL: unknown */
/* Usable bytes of the block that starts at p; 0 when p is none of ours. */
size_t heap_usable(const void *p);
/* heap_realloc and heap_free of pointers outside the window go to heap_hooks.foreign_* */

enum found { FOUND_NOTHING, FOUND_BLOCK, FOUND_FREE };
struct block_info {
	uintptr_t start;
	size_t size;          /* usable bytes */
	uint8_t state;        /* as read once */
	struct span *span;
	uint32_t slot;
};
/* Which block holds w (interior pointers too)? Safe for any word; FOUND_FREE: a slot without a block. */
enum found heap_find(uintptr_t w, struct block_info *info);

/* -- start, threads, fork -- */
void heap_start(void);            /* once; called by the first slow path; later calls return at once */
void heap_thread_exit(void);      /* calling thread: return cached slots, abandon spans; it may allocate again after */
/* In a child of fork, vfork excepted, as early as can be: the other threads are gone, wherever they were. fork takes no lock of
 * the heap: glibc takes locks of its own after its handlers ran, whose holders may be in malloc. What a thread was changing at
 * that moment is dropped instead. */
void heap_fork_child(void);
/* heap_fork_child(), if this process is a child that no handler of fork told of: by _Fork, clone or a raw system call. Every slow path
 * asks; so must an end that may come before the first of them. Async-signal-safe. */
void heap_notice_fork(void);
/* For whoever wants to know it too: a word that is 0 in every child that has its own memory, however it was made, where the kernel can wipe pages. */
int *heap_wiped_word(void);

/* -- for the collector -- */
struct heap_totals {
	size_t live;        /* bytes handed out minus bytes received back, caches' slack included */
	size_t mapped;      /* bytes of the arena that have been mapped */
	size_t dirty;       /* bytes in free runs that may still be resident */
	size_t metadata;    /* bytes of page map, descriptors, state bytes, caches */
};
void heap_totals(struct heap_totals *t);
size_t heap_in_use(void); /* bytes of the blocks that the program has: `live` less what the caches hold ready (of other threads: what they freed) */

/* Inside a stop: gives every slot on an alloc list to `fn`; false: a list is broken (the cycle must end). */
bool heap_each_cached(bool (*fn)(struct span *s, uint32_t slot));
/* Where a small span's state bytes are, whatever span.state says (mark/apart.c). */
uint8_t *span_state_bytes(const struct span *s);
/* Inside a stop: the next stamp becomes current. Result: the new one. */
uint8_t heap_advance_stamp(void);
/* In a child of fork, before it has a second thread: blocks that are there now are told from those that it will make. */
void heap_mark_inherited(void);
extern bool heap_inherits;
/* A block that this process took after it, on a list that was there before. */
static inline void heap_make_own(struct span *s, uint32_t slot) { store_relaxed(&s->state[slot], STATE_ALLOCATED | load_relaxed(&arena.stamp)); }
/* Does a block with this state byte come from before heap_mark_inherited? Inside a stop. */
bool heap_is_inherited(uint8_t state);
/* Inside a stop: caches of threads that ended without heap_thread_exit (raw exit, or malloc after the last destructor) are
 * given back. */
void heap_reap(bool (*exists)(int tid));
/* Inside a stop: spans whose slots are all back or recycled leave their owners; heap_release_empty, after the resume,
 * gives their pages back. */
void heap_collect_empty(void);
/* Inside a stop: a full span of a program with several threads becomes abandoned, so that whoever needs slots next gets those
 * that the verdict will free, not only the thread that once filled it. */
void heap_disown(struct span *s);
void heap_release_empty(void);
/* Outside a stop, by the verdict under the collect lock. `state` is where the judge saw the byte. Result: changed. */
bool heap_condemn(uint8_t *state);
/* A condemned slot that is old enough becomes recycled; large blocks go back to the arena at once. */
bool heap_recycle(struct span *s, uint32_t slot, uint8_t *state, bool fill);
/* Free pages go back to the system: those free for a second, or all of them. Bytes. */
size_t heap_purge(bool all);
/* The same, and what the calling thread has at hand first: never in a handler, which may interrupt malloc as it takes a slot. */
size_t heap_trim(void);

/* Every range of memory that is cgc's heap: arena steps (without the holes between them) and metadata. None is a root. */
void heap_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));
/* Evidence came in: recycled slots are no more handed out and no more are made. For the rest of the process. */
void heap_end_recycling(void);
bool heap_recycling_ended(void);
/* A refill in every n calls heap_hooks.pressure; 0: none. */
void heap_stress(unsigned n);
/* Bytes of arena pages in use at most; 0: no limit. */
void heap_set_limit(size_t bytes);

#endif
