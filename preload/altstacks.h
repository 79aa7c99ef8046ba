/* Alternate signal stacks: which threads have them, and what becomes of one whose memory goes away. */
#ifndef CGC_PRELOAD_ALTSTACKS_H
#define CGC_PRELOAD_ALTSTACKS_H

#include "base/bits.h"
#include <signal.h>

/* The calling thread has installed [low, high). true: another living thread has some of it too. Async-signal-safe. */
bool altstacks_tell(uintptr_t low, uintptr_t high);
void altstacks_drop(void); /* it has none any more, or one of ours */
bool altstacks_within(uintptr_t low, uintptr_t high); /* is some thread's there, perhaps of one that ended? Cheap */

/* No stop while the calling thread has its stack, or while others have theirs in [low, high). */
void altstacks_lose(void);
void altstacks_leave(uintptr_t low, uintptr_t high);
void altstacks_never(void); /* no stop any more */
bool altstacks_ended(void);
bool altstacks_lost(void); /* does such a thread live? */
/* No stop from here to altstacks_look, which finds out what is there still. false: no stack is in [low, high). */
bool altstacks_hold(uintptr_t low, uintptr_t high);
void altstacks_look(uintptr_t low, uintptr_t high);

/* [low, high) is about to be unmapped or freed: no stop may put a frame there any more. */
void altstack_leaves(uintptr_t low, uintptr_t high);
void altstack_leaves_own(uintptr_t low, uintptr_t high); /* only the calling thread's */
/* [low, high) is of a thread's stack and TLS, and keys are in use: has it one? Then there is no stop any more. */
void altstack_keyed(uintptr_t low, uintptr_t high, bool surely);
/* sigaltstack by `call`. */
int altstack_set(const stack_t *stack, stack_t *old, int (*call)(const stack_t *, stack_t *));
void altstacks_forked(void); /* in a child: its thread has another number */

#endif
