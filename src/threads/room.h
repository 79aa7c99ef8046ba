/*
 * Inside of the threads room: the state of a stop, the records of threads, and what its files ask of each other.
 *
 * The epoch is the whole protocol. It is even while threads run and odd while a stop is in flight; only the collecting
 * thread changes it. A thread that answers stop E writes its root, then stores E into its record's `answered`
 * (release, pairs with the collector's acquire), then sleeps while the epoch is E. A signal that comes late or early
 * changes nothing: whoever finds the epoch even just returns.
 */
#ifndef CGC_THREADS_ROOM_H
#define CGC_THREADS_ROOM_H

#include "threads/threads.h"
#include <signal.h>

#if defined(__x86_64__)
#include "threads/machine_x86_64.h"
#else
#error "this machine needs a file like threads/machine_x86_64.h"
#endif

/* Code that runs inside the handler or reads program memory: sanitizers have no say, no call may be slipped in. */
#define BARE __attribute__((no_sanitize("address", "thread", "undefined"), no_instrument_function))

/* How a TID stands in the stop in flight. Written by the collecting thread only. */
enum task_state {
	TASK_UNKNOWN, /* its stat has not been read since it could have changed hands */
	TASK_AWAITED, /* ordinary: signalled, or about to be */
	TASK_SKIPPED, /* zombie or kernel worker: runs no program code */
	TASK_GONE,    /* exited */
	TASK_SELF     /* the collecting thread */
};

/* One per TID, type-stable: never unmapped, so that a late handler may always look. */
struct record {
	uint32_t tid;       /* collector writes before it enters the record into the table; the handler reads */
	uint32_t answered;  /* atomic: the stop this thread answered last; written by the thread itself */
	uint8_t state;      /* collector: enum task_state */
	bool signalled;     /* collector: a signal was sent in this stop */
	uint32_t seen;      /* collector: last pass over the task list that showed it */
	struct thread_root root; /* the thread writes before it answers; collector reads after */
} __attribute__((aligned(CACHE_LINE)));

struct stop {
	uint32_t epoch;      /* atomic, futex: see above */
	uint32_t answers;    /* atomic: answers ever given */
	uint32_t wanted;     /* atomic: collector: wake me when `answers` gets here */
	uint32_t bell;       /* atomic, futex: rung by the answer that reaches `wanted` */
	uint32_t execs;      /* atomic: those between exec_enter and exec_leave that found no row (execs.c) */
	uint32_t collector;  /* atomic: TID of the collecting thread, 0 outside a stop */
	uint32_t refused;    /* atomic: a handler was refused what it needs to know its own thread: no stop is tried again */
	uint32_t drain;      /* atomic: a stop used kill(), which may leave a signal pending for the process */
	int pid;             /* constant but for fork */
	int signal;          /* constant after threads_start */
	uint64_t open;       /* constant after threads_start: signals that a held thread still gets (park.c, note_eintr) */
	void *chain;         /* atomic: the handler that was installed before ours (glibc's), or NULL */
};
extern struct stop stop;

/* -- tasks.c: which threads exist. Collector only, but for task_find. -- */
extern uint32_t *tasks_active; /* indices of records in use */
extern uint32_t tasks_count;
struct record *task_record(uint32_t index);
struct record *task_find(uint32_t tid);  /* any thread, any time; NULL: not known */
struct record *task_add(uint32_t tid);   /* NULL: no memory */
void tasks_drop_gone(void);              /* forgets TASK_GONE; only while the epoch is even or at the end of a stop */
void tasks_forget_all(void);             /* forked child */
void tasks_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

struct task_pass {
	uint32_t listed;   /* entries shown */
	bool own;          /* our own TID was among them: this is our /proc */
	bool steady;       /* the kernel's thread count was `listed` before and after: nobody slipped past */
};
/* One pass over /proc/self/task; gives each TID to fn. */
enum abort_reason tasks_pass(struct task_pass *pass, enum abort_reason (*fn)(uint32_t tid, uint32_t number), uint32_t number);
bool tasks_own(void); /* our own TID is among them: half as dear as a pass */
/* TASK_AWAITED, TASK_SKIPPED or TASK_GONE, from /proc/self/task/TID/stat; `exiting` counts as awaited. */
struct task_signs {
	bool exiting;  /* on its way out: about to leave the list */
	bool runnable; /* on a CPU or waiting for one: it will answer when it gets there */
};
enum task_state task_classify(uint32_t tid, struct task_signs *signs);
/* The same for n bytes of such a file; exposed for the fuzzer. */
enum task_state task_parse_stat(const char *text, size_t n, struct task_signs *signs);
/* And for another process, where awaited means alive, by /proc/PID/stat. */
enum task_state process_state(int pid, struct task_signs *signs);
void tasks_start(void);

/* -- execs.c -- */
void execs_enter(struct exec_frame *frame);
bool execs_live(uintptr_t sp);      /* under the collect lock; sp: of the collecting thread, in the program */
void execs_forked(void);

/* -- sharers.c: processes in our memory -- */
bool sharers_live(void); /* under the collect lock */
void sharers_forked(void);

#define KERNEL_SA_RESTORER 0x04000000ul

/* -- ping.c -- */
bool ping_answered(const siginfo_t *info); /* false: this is no ping */
void ping_forked(void);

/* -- park.c: the thread's side -- */
void park_handler(int sig, siginfo_t *info, void *context, uint32_t rights);
void park_entry(int sig, siginfo_t *info, void *context); /* what the kernel is given for it */
bool park_acts(uint64_t signals); /* does any of these do anything when it is delivered? */
void park_capture(struct thread_root *t, uintptr_t sp, const uintptr_t *words, unsigned count);

enum { LOOK_AGAIN_NS = 50000000 }; /* for waits that end by a wake-up: one that failed must not hold a thread for ever */

/* -- aside.c: the thread in threads_run_aside, whose root is that of before -- */
struct aside {
	uint32_t tid;            /* atomic; 0: none. Written by the thread itself, after its root */
	struct thread_root root;
};
extern struct aside aside;
bool aside_root(uint32_t tid, struct thread_root *t); /* false: it is not that thread */

/* -- futex with the private flag on both sides, without libc. BARE callers. -- */
static inline __attribute__((always_inline)) void room_wait(uint32_t *word, uint32_t expected, uint64_t ns)
{
	struct { long s, n; } t = { (long)(ns / 1000000000u), (long)(ns % 1000000000u) };
	syscall4(SYS_futex, (long)word, 0 /* WAIT */ | 128 /* PRIVATE */, expected, ns ? (long)&t : 0);
}
static inline __attribute__((always_inline)) void room_wake(uint32_t *word)
{
	syscall4(SYS_futex, (long)word, 1 /* WAKE */ | 128 /* PRIVATE */, 0x7fffffff, 0);
}

#endif
