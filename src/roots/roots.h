/*
 * Roots: everything outside the heap that can hold a pointer into it (DESIGN.md section 5).
 */
#ifndef CGC_ROOTS_ROOTS_H
#define CGC_ROOTS_ROOTS_H

#include "base/bits.h"
#include "base/stats.h"

/* Constructor time: own identity, first listing of segments. */
void roots_start(void);
/* fork: no table is half changed in the child. Taken last, after the heap's locks. */
void roots_fork_prepare(void);
void roots_fork_parent(void);
void roots_forked(void);

/* Inside a stop, on the collector's stack: gives every root to the marker (mark_word, mark_range): the registers and stacks
 * of threads_root(i), every mapping of /proc/self/maps that can hold a pointer page by page, what the kernel holds.
 * Leaves out the arena and own ranges. Bytes scanned go to *bytes.
 * ABORT_NONE, or why the view is incomplete: then nothing may be recycled (law 8). */
enum abort_reason roots_mark(uint64_t *bytes);
/* A fault ended it in the middle (threads_catch). */
void roots_dropped(void);
/* Some roots instead, while the calling thread is the only one: its stack from `stack_from` up if it runs on it, and the data of modules (few.c).
 * begin before the mark. false: options leave roots out, the heap cannot be read by plain loads, or the kernel does not tell. */
bool roots_few_begin(void);
void roots_few_mark(uintptr_t stack_from); /* of modules the program alone, */
void roots_few_mark_more(void);            /* all others */
void roots_few_end(void);

/* For reports: words of the collecting thread's stack below this address tell nothing certain (nor do its registers, if so asked):
 * roots_mark leaves them out until roots_weak_each gives them to fn, in the same stop. 0: there are none. */
void roots_set_weak(uintptr_t below, bool registers);
void roots_weak_each(void (*fn)(uintptr_t word));
/* Which words they were, in their places; registers or not. Until the next roots_set_weak. */
void roots_weak_range(uintptr_t *low, uintptr_t *high);
/* For reports: of a signal frame of ours only what holds registers counts, until the end of the look. Whoever recycles scans all of it. */
void roots_exact_frames(bool on);

/* What the last completed roots_mark gave to the marker, by kind: for reports. */
enum root_share { SHARE_REGISTERS, SHARE_STACK, SHARE_SEGMENT, SHARE_MAPPING, SHARE_SHARED, SHARE_KERNEL, ROOT_SHARES };
extern const char *const root_share_names[ROOT_SHARES];
uint64_t roots_bytes(enum root_share share);

/* Inside a stop, on the collector's stack, while no mark runs: shows every range of words that roots_mark would give to the marker.
 * Reading one may fault: copy it (os_read_self). false: something could not be listed. */
bool roots_look(void (*fn)(uintptr_t low, uintptr_t high));
/* While fn runs: what it is shown. */
enum root_kind {
	ROOT_REGISTERS,  /* words of threads_root(i), in their place */
	ROOT_STACK,      /* a live stack or signal frame */
	ROOT_MEMORY,
	ROOT_CODE,       /* generated code: words at every byte */
	ROOT_RING,       /* a copy of a page of io_uring's */
	ROOT_BORN,       /* one word for a thread that is being born, or held for a call; not in its place, as those below */
	ROOT_EPOLL,
	ROOT_IN_FLIGHT,  /* in a pipe, socket or queue */
	ROOT_KERNEL      /* + enum kernel_kind */
};
unsigned roots_looked_kind(void);

/* After roots_mark, in the same stop: is [low, high), inside one page, ordinary private memory that can be read and written? */
bool roots_plain(uintptr_t low, uintptr_t high);

/* What must not be scanned: cgc's own memory. Kept in a small table; set before the first cycle. */
void roots_exclude(uintptr_t low, uintptr_t high);
/* The same for memory that is given back: a handle for roots_include, or -1 when the table is full (what is scanned only retains). Any time. */
int roots_exclude_for_now(uintptr_t low, uintptr_t high);
void roots_include(int handle);

/* Segments: listed at start and at dlopen/dlclose (never while stopped), for names and for roots=segments. */
void roots_list_segments(void);
/* The same, if the loader opened or closed modules since. */
void roots_list_opened(void);
/* The same for a report or a cycle, which may come when the loader's lock won't be free again: not in a child of fork, whose parent's other
 * threads may have held it, unless the child opened a library itself; nor where a signal interrupted the program (threads_run_aside). */
void roots_list_segments_again(void);
extern uint8_t roots_loader_used; /* atomic: dlopen was called (preload/dl.c) in this process */
/* Writes the name of the module that holds `address` and the offset in it. false: none. Async-signal-safe. */
bool roots_module_of(uintptr_t address, const char **name, uintptr_t *offset);
/* The place of a call in words, from its return address: "app+0x1139" as addr2line takes it. Result: buf. */
const char *roots_place(char *buf, size_t cap, uintptr_t caller); /* cap >= 64 */

/* -- what only the kernel holds -- */
/* epoll_ctl of descriptor fd on epfd with this data word. `op` is EPOLL_CTL_*. Called after the system call succeeded:
 * until then the word stands in the caller's event. A full table ends cycles (law 8). Thread-safe. */
void roots_epoll(int epfd, int op, int fd, uint64_t data);
void roots_epoll_closed(int epfd);
/* No handler of the program runs on this thread between the two: for what must not be interrupted, or left by longjmp, and is short and waits
 * for nobody. Stops go on. They nest. errno stays. */
struct roots_guard {
	uint64_t mask;
	bool blocked;
};
void roots_guard_enter(struct roots_guard *g);
void roots_guard_leave(const struct roots_guard *g);
/* May this word lead to a block? What else the kernel is given need not be told. */
bool roots_ours(uintptr_t word);
/* Any word that only the kernel or a thread not yet born holds (pthread_create's argument): kept until dropped.
 * Result: a handle >= 0, or -1 when the table is full. */
int roots_hold(uintptr_t word);
void roots_drop(int handle);

/* -- what the program declares: [low, high) is scanned, whatever it is, as far as it is mapped. Thread-safe. -- */
void roots_declare(uintptr_t low, uintptr_t high);
bool roots_undeclare(uintptr_t low, uintptr_t high); /* one declaration of the same bounds; false: there is none */

/* Words that the kernel keeps under a name and hands back later; kernel.c tells when each kind ends. */
enum kernel_kind { KERNEL_TIMER = 1, KERNEL_NOTIFY, KERNEL_SIGNAL, KERNEL_ABROAD, KERNEL_AIO, KERNEL_IOCB, KERNEL_URING };
struct kernel_row {
	uint64_t key, context; /* the name; context: of KERNEL_IOCB, the aio_context_t; of KERNEL_URING, the ring; of KERNEL_ABROAD, when it ends */
	uintptr_t words[3];    /* what is kept; words[0] is the value of a signal */
	uint8_t kind;          /* enum kernel_kind */
	uint8_t signal;        /* the signal that will carry words[0]; 0: none */
	bool thread;           /* it goes to one thread */
	uint64_t count, done;  /* KERNEL_URING: requests with these words, and completions with this key */
};
/* Told after the call that created it; a row without a word of ours is not kept. Thread-safe, as are the following. */
void roots_kernel_add(const struct kernel_row *row);
/* Takes a row out before the call that ends it: the caller's frame holds its words then, and adds it again if the call fails.
 * false: there is none. */
bool roots_kernel_take(enum kernel_kind kind, uint64_t key, struct kernel_row *out);
/* The call succeeded: the row's signal may be queued still. */
void roots_kernel_ended(const struct kernel_row *row);
void roots_kernel_context(uint64_t from, uint64_t to); /* rows of KERNEL_IOCB change their context; to 0: they end */
/* io_uring, by the inode of the ring's descriptor: it was set up with these flags; before entries of it are submitted. */
void roots_uring_made(uint64_t inode, uint32_t flags);
void roots_uring_submits(uint64_t inode);
/* The same for a ring whose mappings and entries' tail are known, as liburing's are. */
void roots_uring_ring(uintptr_t rings, uintptr_t entries, uint32_t flags, uint32_t tail);
/* A signal that carries words was queued: to the process or thread `target` (0: in this process), to one thread if `thread`. */
void roots_signal_sent(int target, bool thread, int signal, const uintptr_t words[3]);

#endif
