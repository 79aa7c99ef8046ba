/*
 * busy: how a slow path keeps the stop handler from parking it (law 3).
 *
 * busy_enter counts up, busy_leave counts down and parks when a stop came in between. Only this thread and handlers on top
 * of it touch the counter, so plain accesses with compiler barriers do. A handler of the program that leaves malloc by longjmp
 * leaves busy > 0 behind; the next outermost entry sees that its stack pointer is above the recorded one, on the same stack,
 * and starts anew. On an alternate stack nothing can be said, and the count just grows: stops then find this thread busy
 * and give up, which keeps memory (law 8).
 */
#include "heap/self.h"
#include "heap/cache.h"
#include "heap/hooks.h"

#include <pthread.h>

/* Further than this apart, two stack pointers are taken for two stacks. */
enum { SAME_STACK = 1 << 20 };
/* No frame between busy_enter and busy_leave returns this far up: a higher stack pointer means that it was unwound. */
enum { MARGIN = 512 };

_Thread_local struct self self __attribute__((tls_model("initial-exec"))) = { .cache = &empty_cache };

void busy_enter(void)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	uintptr_t entered = ~self.busy_sp;
	if (UNLIKELY(self.busy) && sp > entered + MARGIN && sp - entered < SAME_STACK && sp - self.stack_low < self.stack_high - self.stack_low
	    && entered - self.stack_low < self.stack_high - self.stack_low)
		self.busy = 0;
	if (self.busy == 0) {
		self.busy_sp = ~sp;
		if (UNLIKELY(self.cancelled_any_time))
			heap_hooks.cancel_type(PTHREAD_CANCEL_DEFERRED, NULL);
	}
	__atomic_store_n(&self.busy, self.busy + 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the looker has the barrier: idle.c */
	if (UNLIKELY(load_relaxed(&self.cache->lent)))
		cache_come_home(self.cache);
}

void busy_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (UNLIKELY(self.busy == 0)) /* the stop handler took the entry for stale */
		return;
	__atomic_store_n(&self.busy, self.busy - 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (UNLIKELY(load_relaxed(&self.park_wanted)) && self.busy == 0 && heap_hooks.park)
		heap_hooks.park();
	if (UNLIKELY(self.cancelled_any_time) && self.busy == 0)
		heap_hooks.cancel_type(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); /* may not return */
}
