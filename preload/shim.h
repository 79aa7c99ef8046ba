/* What the files of the shim share with each other, beside real.h and eintr.h. */
#ifndef CGC_PRELOAD_SHIM_H
#define CGC_PRELOAD_SHIM_H

#include "base/options.h"
#include <signal.h>

/* A program's set without the signal that the user chose for stops (signal=N). The default on glibc, 33, can't be in a set
 * that glibc made, so this costs one load and branch then. */
const sigset_t *signals_stripped(const sigset_t *set, sigset_t *copy);
static inline const sigset_t *signals_without_ours(const sigset_t *set, sigset_t *copy)
{
	return LIKELY(options.signal == 0 || !set) ? set : signals_stripped(set, copy);
}
/* The same for a set of signals to wait for, where 33 counts too: a set of all bits, made without sigfillset, would take it. */
static inline const sigset_t *signals_to_wait_for(const sigset_t *set, sigset_t *copy)
{
	const unsigned ours = options.signal ? options.signal : 33;
	return LIKELY(!set || !(*(const uint64_t __attribute__((may_alias)) *)set >> (ours - 1) & 1)) ? set : signals_stripped(set, copy);
}

/* Is this process the one that the library was started in, or a true copy of it (fork)? False in a vfork child, which
 * shares our memory: nothing of ours may be touched there. */
bool identity_own(void);
void identity_forked(void);

/* Around a call that installs a filter of system calls (filter.c): begin before it, and then what became of it. */
void filter_begin(void);
void filter_end(bool installed);
/* Prints what statistics there are, because nothing can be told at the end; NULL: nobody does. */
extern void (*filter_tell)(const char *why);

#endif
