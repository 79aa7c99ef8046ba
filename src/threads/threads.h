/*
 * Which threads exist, stopping them, resuming them. One file per system (linux.c); this is the face.
 *
 * One stop at a time, by a thread that holds the collect lock and has blocked every signal with threads_block_signals.
 * Between threads_stop() == ABORT_NONE and threads_resume() no other thread of the process executes program code, and none
 * is inside a slow path of the heap.
 */
#ifndef CGC_THREADS_THREADS_H
#define CGC_THREADS_THREADS_H

#include "base/bits.h"
#include "base/stats.h"

#include <signal.h>

struct range {
	uintptr_t low, high; /* [low, high) */
};

/* One stopped thread (or the collecting thread itself). All of it is memory or words to scan conservatively. */
struct thread_root {
	int tid;
	uintptr_t sp;          /* stack pointer of the interrupted program code (red zone not subtracted) */
	struct range frame;    /* the signal frame, vector registers included, when it lies elsewhere than above sp; else empty */
	struct range live;     /* [sp - 128 or the handler's own sp, top of the known stack); empty when bounds are unknown */
	struct range dead;     /* the part of the known stack below `live`: need not be scanned. Empty unless the bounds
	                          of this thread's stack are known for certain and sp lies inside them */
	uintptr_t words[40];   /* general registers, sp included, and the fs/gs bases (TCB) */
	unsigned word_count;
	const void *context;   /* ucontext_t of the signal frame of ours that interrupted it; NULL: it was captured at a call */
	bool partial;          /* the kernel refused some of this: no judgement may stand on it (law 8) */
};

/* Installs nothing yet; remembers the main thread. Called from the constructor, single-threaded. */
void threads_start(int signal_option);
/* Can threads be stopped here at all? NULL, or one sentence why not (law 10). */
const char *threads_unsupported(void);

/* The new thread tells its stack bounds (from the shim's pthread_create trampoline); thread exit forgets them. */
void threads_stack_known(uintptr_t low, uintptr_t high);

/* Every signal blocked, 32 and 33 too, by raw call; the old mask (kernel layout) goes to *saved. false: the kernel refused, or the
 * process is confined (os.h): *saved is THREADS_NO_MASK. */
bool threads_block_signals(uint64_t *saved);
/* All but 32 and that of the stop: no handler of the program runs, and stops go on. */
bool threads_block_handlers(uint64_t *saved);
/* THREADS_NO_MASK, which no thread can have (KILL and STOP are never blocked), changes nothing. */
void threads_restore_signals(uint64_t saved);
#define THREADS_NO_MASK (~0ull)
/* The same; true: a signal that was waiting for it has done something to the program, so a call it could have ended ends. */
bool threads_restore_signals_felt(uint64_t saved);

/* Stops every other thread. ABORT_NONE, or why it could not be done: then everything is already running again. Bounded:
 * gives up 20 ms after the last signal was sent. Caller: collect lock held, signals blocked, not busy. */
enum abort_reason threads_stop(void);
void threads_resume(void);
bool threads_stopped(void);   /* inside a stop now? */

/* Inside a stop, or as the only thread: calls fn(arg). false: a load in it faulted, at *at, and nothing of fn's remains to be run. */
bool threads_catch(void (*fn)(void *arg), void *arg, uintptr_t *at);

/* Inside a stop: the threads, the collecting one (as captured by threads_run_on) included. */
size_t threads_count(void);
const struct thread_root *threads_root(size_t i);

/* Is the calling thread the only one that runs in this memory, other processes included? The kernel says. */
bool threads_alone(void);
/* Saves the calling thread's registers as its root, switches to `stack_top`, calls fn(arg), switches back. */
void threads_run_on(void *stack_top, void (*fn)(void *), void *arg);

/* The same for heap_hooks.asked, one thread at a time: cycles that fn runs see the calling thread as it was here, and so do
 * stops by others meanwhile, for which it stays reachable. Its alternate stack is out of use until the end. Every signal is blocked at the
 * call; only the stop signal may come while fn runs. stack_top: a stack that holds no root. */
void threads_run_aside(void *stack_top, void (*fn)(void *), void *arg);
/* Is the calling thread in there? */
bool threads_aside(void);
/* The signal that stops, and its handler in place: glibc puts its own there with the first thread. */
int threads_signal(void);
bool threads_hear(void);
/* Returns when no such signal waits for the process or for this thread: what waited has been handled. */
void threads_settle(void);

/* A handler of the program was installed for this signal: from now on its returns are counted in self.handled. Without that an
 * EINTR that is the program's looks like ours when our signal comes at the very return of its handler. */
void threads_count_handler(int signal_number);

/* The kernel's struct sigaction. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};
/* Signal actions by raw call: what the kernel has, whatever the program was told. */
bool threads_action(int signal_number, const struct kernel_action *set, struct kernel_action *old);
/* A handler of ours, one for all signals: with information, on the alternate stack, everything but 32 and 33 blocked. */
bool threads_handler(int signal_number, void (*handler)(int, siginfo_t *, void *), struct kernel_action *old);
/* Sends the calling thread a signal with just this information; without it where the kernel finds no room for it. */
bool threads_resend(const siginfo_t *info);
/* Register i of the context that a handler was given, and its name; NULL: there is none such. */
const char *threads_register(const void *context, unsigned i, uintptr_t *word);

/* The innermost frame of our own signal that the calling thread's stack shows above `from`: what lies above is the program's again. 0: there is
 * none near. */
uintptr_t threads_signal_frame(uintptr_t from);
/* The calling thread's alternate stack, if sp lies on it. */
bool threads_alternate(uintptr_t sp, struct range *r);
/*
 * For a root with a context: where the interrupted registers lie, and around them what is the kernel's and ours alone, from the part of `live` or
 * `frame` that the handler answered at. false: that can't be told for certain. Its stack may not be read otherwise meanwhile (any stop).
 */
struct thread_frame {
	struct range ours, registers[24];
	unsigned count;
};
bool threads_frame(const struct thread_root *t, struct thread_frame *f);
/* What words[i] of a root is. */
const char *threads_word_name(const struct thread_root *t, unsigned i);

/* heap_hooks.park: the calling thread left its slow path while a stop waits. */
void threads_park(void);
/* In a forked child: only the calling thread exists. */
void threads_forked(void);
/* Can a stop write its frame below `high`, with the rights that a handler has? */
bool threads_frame_fits(uintptr_t low, uintptr_t high);
void threads_know_keys(void); /* protection keys, before a handler is installed */
/* No stop that began before this call puts a frame anywhere behind it; busy (it may not wait): behind busy_leave. */
void threads_stop_settled(bool busy);
/* The thread, no stop of which may begin meanwhile, has left the frame of the last one, on whatever stack. Waits for it, but not for long. */
void threads_leave_frame(uint32_t tid);
/* exec must not start while a stop is in flight, nor a stop while a thread is in exec (a queued signal 33 would kill the
 * new image). enter waits for the stop's end. No-ops in a vfork child. The frame lies in that of the function that
 * calls exec, for one that a handler leaves by longjmp (execs.c); NULL: none. */
struct exec_frame { volatile uintptr_t words[16]; };
void threads_exec_enter(struct exec_frame *frame);
void threads_exec_leave(void);

/* Around a clone that makes a process in our memory: no stop meanwhile, nor while that process lives. pid: 0 or less when it does not. */
void threads_sharer_enter(void);
void threads_sharer_leave(int pid);

/* Memory of this room that must not be scanned as a root. fn is called for each range. */
void threads_own_ranges(void (*fn)(uintptr_t low, uintptr_t high));

#endif
