/* The only function pointers that run upward: what the heap starts above it. Set once, before threads exist; NULL entries
 * are skipped. */
#ifndef CGC_HEAP_HOOKS_H
#define CGC_HEAP_HOOKS_H

#include "base/bits.h"

/* The program freed or reallocated a block that was judged lost: it had hidden a pointer to it. */
struct evidence {
	const void *p;
	size_t block;         /* bytes of its slot; 0: not known any more */
	size_t asked;         /* what the program asked for; `block`, where that is not recorded */
	uint8_t state;        /* what its byte said: condemned or recycled */
	uint32_t site;        /* who allocated it; 0: not recorded, or its memory went back meanwhile */
	const void *caller;   /* return address of the call */
	const char *call;
};

struct heap_hooks {
	/* After a refill, outside busy, no lock held: `live` grew past the mark set by heap_watch_growth, or stress asks. */
	void (*pressure)(void);
	/* No memory for `bytes`: free some. Outside busy. true: worth another try. */
	bool (*exhausted)(size_t bytes);
	/* Evidence (law 9), outside busy. The block may be somebody else's already. */
	void (*evidence)(const struct evidence *e);
	/* Misuse: one finished reason, the call, the pointer, bytes of its class (0: unknown). May not return. */
	void (*misuse)(const char *what, const char *call, const void *p, size_t block);
	/* A pointer outside the arena given to free, realloc (size > 0) or usable_size. */
	bool (*foreign_known)(const void *p); /* some malloc gave it; false: misuse */
	void (*foreign_free)(void *p);
	void *(*foreign_realloc)(void *p, size_t size);
	size_t (*foreign_usable)(const void *p);
	/* A thread leaves its last slow path while a stop waits for it: park here until the stop ends. */
	void (*park)(void);
	/* A thread's cache was made (so that the shim can arm a destructor). Outside busy. */
	void (*thread_seen)(void);
	/* [low, high) is being freed, or was and is about to be handed out: no alternate signal stack may lie in it. Inside busy. */
	void (*altstack_leaves)(uintptr_t low, uintptr_t high);
	bool (*altstacks_within)(uintptr_t low, uintptr_t high); /* may one? Cheaper */
	/* A stop would put its frame where a thread's alternate stack was. */
	bool (*altstack_lost)(void);
	/* The channel of words in flight that a descriptor is (roots/flight.h); negative: none. Under the roots' lock or inside a stop. */
	int32_t (*flight_channel)(int fd);
	/* A cycle is over, whatever came of it; the collect lock was dropped, signals are still blocked. */
	void (*cycle_ended)(void);
	/* libc's pthread_setcanceltype, for a thread whose self.cancelled_any_time says so. */
	int (*cancel_type)(int type, int *old);
	/* The stop signal came and no stop had sent it: from the kernel, because a descriptor or (`timer`, with this value) a timer of ours
	 * wants us. Inside the handler, every signal blocked, at any instruction of the program. */
	void (*asked)(bool timer, int value);
	/* The process was copied by a raw fork or clone: everything that names threads or descriptors is void. */
	void (*forked)(void);
};
extern struct heap_hooks heap_hooks;

/* Where in the heap the program ever had alternate signal stacks. Atomic; only grows; empty in most programs. */
extern struct heap_altstacks { uintptr_t low, high; } heap_altstacks;

static inline __attribute__((always_inline)) bool heap_altstacks_near(uintptr_t low, uintptr_t high)
{
	return UNLIKELY(low < load_acquire(&heap_altstacks.high)) && high > load_relaxed(&heap_altstacks.low); /* acquire: the hooks are there */
}
static inline __attribute__((always_inline)) void heap_altstack_leaves(uintptr_t low, uintptr_t size)
{
	if (heap_altstacks_near(low, low + size))
		heap_hooks.altstack_leaves(low, low + size);
}

/* `pressure` is called once when live bytes have grown by `bytes` beyond the smallest live size since this call, which
 * starts anew; SIZE_MAX: never. Churn does not grow the smallest size, so it never calls. */
void heap_watch_growth(size_t bytes);
/* `pressure` is called again when live bytes have grown by `bytes` beyond now. */
void heap_watch_more(size_t bytes);
size_t heap_growth(void); /* since the smallest live size since heap_watch_growth */

#endif
