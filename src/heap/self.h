/*
 * What one thread knows of itself: a single initial-exec TLS block, so that malloc, the stop handler and the wrappers reach
 * it with one instruction and no call. Never a root.
 *
 * busy: slow paths of the heap nest in busy_enter/busy_leave. The stop handler that interrupts a busy thread does not park
 * it: it sets park_wanted, and busy_leave parks. A slow path that was left by longjmp leaves busy > 0 behind; it is stale
 * when the stack has been unwound past busy_sp (judged on the same stack only).
 *
 * A thread with asynchronous cancellation could be unwound while it holds a lock of the heap; its slow paths are therefore not
 * cancelled before their end. (In libc's malloc it may die so, and everybody waits for ever.)
 */
#ifndef CGC_HEAP_SELF_H
#define CGC_HEAP_SELF_H

#include "base/bits.h"

struct cache;

struct self {
	struct cache *cache;      /* starts at the static empty cache; own thread writes */
	uint32_t handled;         /* program handlers that returned on this thread: their restorer counts (threads_count_handler) */
	uint32_t busy;            /* own thread writes, its own handler reads */
	uint32_t park_wanted;     /* handler sets to the epoch it wants, busy_leave clears */
	uintptr_t busy_sp;        /* stack pointer of the outermost entry, complemented: this is memory that is scanned, and the stack of
	                             a coroutine that is gone may be a block */
	uint32_t in_collector;    /* this thread runs a cycle: its own allocations (there are none) would be an error */
	uint32_t eintr_mine;      /* set by the stop handler: 1 the EINTR that the interrupted call returns is ours, 2 its
	                             count may have been cut short by us (preload/eintr.h) */
	uint32_t eintr_masked;    /* set by the stop handler with eintr_mine 1, when eintr_scope vouches for the call: all signals
	                             are blocked and the mask before is in eintr_mask; the wrapper takes both over */
	uint64_t eintr_mask;
	uint32_t eintr_handled;   /* `handled` when the running wrapper began its attempt */
	uintptr_t eintr_scope;    /* address of the running wrapper's struct eintr_scope, whose first word is
	                             address ^ SELF_EINTR_COOKIE; 0 outside. A longjmp may leave an old one behind */
	uint32_t cache_born;      /* the cache was just made: tell heap_hooks.thread_seen after busy */
	uint32_t cancelled_any_time; /* the thread asked for asynchronous cancellation: slow paths put it off (busy_enter) */
	uint32_t ignoring;        /* what this thread allocates is no leak: nested __lsan_disable */
	const void *interrupted;  /* the stop handler runs what it was asked for: the ucontext_t of what it interrupted; else NULL */
	uint32_t guarded;         /* roots_guard_enter has blocked the program's signals: no handler of its sees this set */
	uint32_t tid;             /* cached gettid of this thread; 0 unknown */
	uintptr_t stack_low, stack_high; /* bounds of the ordinary stack, when known (threads/); 0 otherwise */
};
#define SELF_HANDLED "8" /* offset of `handled`, for assembly */
#define SELF_EINTR_COOKIE ((uintptr_t)0x6e7572652e746f6e)
extern _Thread_local struct self self __attribute__((tls_model("initial-exec")));

/* Both are in heap/self.c. Stack pointers come from __builtin_frame_address(0) of the caller. */
void busy_enter(void);
void busy_leave(void);

#endif
