/* What the files of the shim share with each other, beside real.h and eintr.h. */
#ifndef CGC_PRELOAD_SHIM_H
#define CGC_PRELOAD_SHIM_H

#include "base/options.h"
#include "preload/flight.h"
#include "roots/roots.h"
#include <signal.h>

/* A program's set without the signal that the user chose for stops (signal=N). The default on glibc, 33, can't be in a set
 * that glibc made, so this costs one load and branch then. */
const sigset_t *signals_stripped(const sigset_t *set, sigset_t *copy);
static inline const sigset_t *signals_without_ours(const sigset_t *set, sigset_t *copy)
{
	return LIKELY(options.signal == 0 || !set || !flight_readable(set, sizeof(uint64_t))) ? set : signals_stripped(set, copy);
}
/* The same for a set of signals to wait for, where 33 counts too: a set of all bits, made without sigfillset, would take it. One that can't be
 * read is the kernel's to refuse. */
static inline const sigset_t *signals_to_wait_for(const sigset_t *set, sigset_t *copy)
{
	const unsigned ours = options.signal ? options.signal : 33;
	return LIKELY(!set || !flight_readable(set, sizeof(uint64_t)) || !(*(const uint64_t __attribute__((may_alias)) *)set >> (ours - 1) & 1)) ? set : signals_stripped(set, copy);
}

/* Is this process the one that the library was started in, or a true copy of it (fork)? False in a vfork child, which
 * shares our memory: nothing of ours may be touched there. */
bool identity_own(void);
void identity_forked(void);

/* -- kernel.c, for calls that come through syscall() -- */
/* Runs what a wrapper does after the call. */
#define KEEPING_ERRNO(...) do { int saved_ = errno; __VA_ARGS__; errno = saved_; } while (0)
void tell_timer_created(uint64_t id, const struct sigevent *event);
/* Before a timer is deleted, and after. */
bool tell_timer_deletes(uint64_t id, struct kernel_row *row);
void tell_timer_deleted(const struct kernel_row *row, bool done);
/* A signal with what a siginfo holds: before it is sent, for each target that it may have, and when no more is told. errno stays. */
struct signal_words {
	uintptr_t words[3];
	int held[3];
};
void tell_signal_begins(struct signal_words *w, uintptr_t info); /* which need not be readable */
void tell_signal_sent(const struct signal_words *w, bool done, int target, bool thread, int number);
void tell_signal_ends(const struct signal_words *w);

/* -- kaio.c: blocks of the kernel's asynchronous input and output -- */
struct io_event;
/* Before they are submitted; then for those from `taken` on that the kernel did not take. `list` need not be readable. */
void tell_iocbs(uint64_t context, long n, const uintptr_t *list);
void tell_iocbs_refused(uint64_t context, long taken, long n, const uintptr_t *list);
void tell_context_ends(uint64_t context); /* before io_destroy, and after */
void tell_context_ended(uint64_t context, bool done);
void tell_events(uint64_t context, long n, const struct io_event *events); /* fetched */

/* -- descriptors.c: likewise -- */
bool descriptor_hidden(int fd);                /* ours: the program is told EBADF */
void descriptor_makes_way(int from, int to);   /* before dup2 */
int descriptors_close_range(unsigned first, unsigned last, int flags, int (*call)(unsigned, unsigned, int));

/* Around a call that installs a filter of system calls (filter.c): begin before it, and then what became of it. */
void filter_begin(void);
void filter_end(bool installed);
/* Prints what statistics there are, because nothing can be told at the end; NULL: nobody does. */
extern void (*filter_tell)(const char *why);
/* report_on=exec: what is to be told before another program takes this process over. NULL: nothing. */
extern void (*exec_tell)(void);

#endif
