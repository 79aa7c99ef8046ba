/*
 * Call stacks, from inside malloc: a few tens of nanoseconds for all frames of binaries without frame pointers.
 *
 * The unwinder runs on cached call-frame rules (rules.c reads .eh_frame_hdr and .eh_frame once a pc) and stops as soon as the rest of the
 * stack is known to be that of the previous capture in this thread (DESIGN.md section 7). It calls neither loader nor allocator and
 * every load is bounded by the stack that it walks.
 */
#ifndef CGC_BACKTRACE_BACKTRACE_H
#define CGC_BACKTRACE_BACKTRACE_H

#include "base/bits.h"

enum { BACKTRACE_MOST = 256 };  /* innermost frames that are exact; deeper stacks have more, as far as they were remembered */

struct thread_stack;            /* per thread: the previous stack and its memory words; in a mapping of its own */

/* Before the first capture: tables, and the first modules_list(). false: no memory, captures give the caller alone. */
bool backtrace_start(void);

/* The stack of the calling thread as depot node (depot.h), innermost frame first being the one that `caller` lies in: frames of
 * libcgc.so itself are left out. `caller` is the return address of the interposed call; it is in the stack, above this function's frame.
 * Async-signal-safe, reentrant (a handler on top of a capture takes the plain walk), errno untouched. Never fails: where a frame has no
 * rule and no frame pointer the stack ends there, and where there is no memory the node is that of the caller alone, or 0. */
uint32_t backtrace_here(const void *caller);

/* The same into pcs[], without depot and caches: for tests, evidence and `why`. Result: frames. */
size_t backtrace_plain(const void *caller, uintptr_t *pcs, size_t most);

/* A parked or interrupted thread's stack from its registers. Result: frames. The stack's memory must be readable or the walk ends. */
struct backtrace_registers { uintptr_t pc, sp, fp, saved[32]; }; /* saved[]: by DWARF number of the machine */
size_t backtrace_from(const struct backtrace_registers *r, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs, size_t most);

/* Counters since start, summed over threads: for stats=1, the bench and tests. */
struct backtrace_totals {
	uint64_t captures, frames;         /* frames: of all stacks, known suffixes included */
	uint64_t walked;                   /* frames that were unwound */
	uint64_t suffix_hits;              /* captures that ended at a verified suffix */
	uint64_t rule_misses;              /* rules that had to be read from .eh_frame */
	uint64_t frame_pointer, cut;       /* frames taken by frame pointer; stacks that ended before the outermost frame */
};
void backtrace_totals(struct backtrace_totals *t);

void backtrace_thread_exit(void);
void backtrace_forked(void);
/* By who forks, before. */
void backtrace_fork_prepare(void);
/* Pages of files that reading rules brought into the process leave it again, as far as they are the program's, libc's or ours (shed.c). What is read again
 * costs a page fault. The second does so at fit times: after a block was sampled, or when memory grows and every block is recorded. */
void backtrace_shed(void);
void backtrace_shed_at_times(bool sampled);
/* The process ends, and hardly a block will be recorded any more: the same, and what this thread remembers of stacks. */
void backtrace_rest(void);

/* Mappings of rules and threads that must not be scanned as roots (modules.h and depot.h tell their own). */
void backtrace_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
