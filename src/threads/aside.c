/*
 * A thread that the stop signal brought to work of ours (heap_hooks.asked), on a stack of ours, for as long as a report takes.
 *
 *   1. Its root is captured where the handler left the program: the signal frame and everything above it.
 *   2. The alternate stack is taken out of use, for the kernel would lay the next frame at its top: over ours, if ours is there.
 *   3. The stop signal alone is let in, so that cycles of other threads need not wait. They find the root of step 1, as do ours.
 *
 * What the wrappers' side of an EINTR knows (self.eintr_*) belongs to the interrupted code: it is put away meanwhile.
 */
#include "base/fault.h"
#include "heap/self.h"
#include "os/os.h"
#include "threads/room.h"

struct aside aside;

struct errand {
	void (*fn)(void *);
	void *arg;
};

BARE bool aside_root(uint32_t tid, struct thread_root *t)
{
	if (LIKELY(load_acquire(&aside.tid) != tid) || (UNLIKELY(fault_armed) && fault_hit(FAULT_no_aside)))
		return false;
	const uintptr_t *from = (const uintptr_t *)&aside.root;
	for (size_t i = 0; i < sizeof *t / sizeof *from; i++) /* no memcpy: park_interrupted calls nothing */
		((volatile uintptr_t *)t)[i] = from[i];
	return true;
}
_Static_assert(sizeof(struct thread_root) % sizeof(uintptr_t) == 0, "copied word by word");

static void run(uintptr_t sp, void *errand, void *unused)
{
	const struct errand *e = errand;
	struct self was = self;
	stack_t alternate = { 0, SS_DISABLE, 0 }, none = { 0, SS_DISABLE, 0 };
	uint64_t open = ~(1ull << (stop.signal - 1)), saved = THREADS_NO_MASK;

	park_capture(&aside.root, sp, (const uintptr_t *)sp, 6);
	aside.root.tid = os_tid();
	aside.root.context = self.interrupted;
	syscall2(SYS_sigaltstack, 0, (long)&alternate);
	bool moved = !(alternate.ss_flags & SS_DISABLE) && syscall2(SYS_sigaltstack, (long)&none, 0) == 0;
	self.eintr_masked = 0;
	self.eintr_scope = 0;
	store_release(&aside.tid, (uint32_t)aside.root.tid);
	bool opened = (moved || alternate.ss_flags & SS_DISABLE) && syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&open, (long)&saved, 8) == 0;
	e->fn(e->arg);
	if (opened)
		threads_restore_signals(saved);
	store_release(&aside.tid, 0);
	if (moved) {
		alternate.ss_flags &= ~SS_ONSTACK;
		syscall2(SYS_sigaltstack, (long)&alternate, 0);
	}
	self.eintr_mine = was.eintr_mine;
	self.eintr_masked = was.eintr_masked;
	self.eintr_mask = was.eintr_mask;
	self.eintr_scope = was.eintr_scope;
}

bool threads_aside(void)
{
	const uint32_t tid = load_relaxed(&aside.tid);
	return UNLIKELY(tid) && tid == (uint32_t)os_tid();
}

void threads_run_aside(void *stack_top, void (*fn)(void *), void *arg)
{
	struct errand e = { fn, arg };
	machine_switch(stack_top, run, &e, NULL);
}
