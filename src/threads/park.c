/*
 * The thread's side of a stop: the signal handler, parking, and how a stack pointer becomes a root.
 *
 *   on signal:  epoch odd? busy in the heap? ──▶ leave a note, busy_leave parks by threads_park
 *                          else ──▶ write root, answer, sleep while the epoch lasts
 *               not sent by us? ──▶ the handler that was installed before
 *               EINTR ours?     ──▶ tell the wrapper
 *
 * A thread in the handler may be at any instruction of the program or of libc: raw calls only, little stack, every signal
 * blocked by the handler's mask. The kernel saved all registers in the signal frame, which lies on the stack the handler
 * runs on; that frame is part of the root.
 *
 * Bounds are believed only when the stack pointer lies inside them and not on the alternate stack: a coroutine or a handler
 * of the program runs elsewhere while the ordinary stack still holds live frames at a depth nobody told us. Then nothing
 * is dead, and the scan of mappings sees the whole stack.
 */
#include "base/fault.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "os/os.h"
#include "threads/room.h"

#include <sys/stat.h>
#include <errno.h>

enum {
	/* A slow path's stack pointer can stand this far above busy_sp without having left it: busy_sp is the frame of
	 * busy_enter, and its caller may already have popped its own frame in a tail call of busy_leave. */
	STALE_MARGIN = 512,
	STALE_REACH = 8 << 20,      /* unknown bounds: further apart means another stack */
	FRAME_REACH = 64 * 1024,    /* a signal frame on the same stack is nearer than this (AMX: 11 KiB) */
	WRAPPER_REACH = 1024        /* a system call made for a wrapper is nearer to it than this */
};

/* fault() without a call unless something is armed: TSan's own thread gets our signal and has no shadow stack. */
BARE static inline __attribute__((always_inline)) bool fault_here(enum fault_point p)
{
	return UNLIKELY(fault_armed) && fault_hit(p);
}

BARE static bool on_alternate(const stack_t *alt, uintptr_t p)
{
	return !(alt->ss_flags & SS_DISABLE) && p - (uintptr_t)alt->ss_sp < alt->ss_size;
}

/* Has the stack been unwound past the slow path that entered busy? Certain, or false. */
BARE static bool busy_is_stale(uintptr_t sp, const stack_t *alt)
{
	uintptr_t from = ~load_relaxed(&self.busy_sp), low = self.stack_low, high = self.stack_high;
	if (sp <= from + STALE_MARGIN || on_alternate(alt, sp) || on_alternate(alt, from))
		return false;
	if (low && high)
		return from > low && sp <= high;
	return sp - from < STALE_REACH;
}

/*
 * `sp` is the program's, `own_sp` that of the code that answers (everything of the program's lies above it when the two
 * are on one stack), `frame_end` the end of the signal frame; the latter two equal sp when there is no frame.
 */
BARE static void place(struct thread_root *t, uintptr_t sp, uintptr_t own_sp, uintptr_t frame_end, const stack_t *alt,
                       bool has_self)
{
	uintptr_t low = has_self ? self.stack_low : 0, high = has_self ? self.stack_high : 0;
	bool one_stack = own_sp <= sp && sp - own_sp < FRAME_REACH && on_alternate(alt, own_sp) == on_alternate(alt, sp);
	bool known = low && high && sp > low + MACHINE_RED_ZONE && sp <= high && !on_alternate(alt, sp);
	struct range none = { 0, 0 };
	uintptr_t from = one_stack && own_sp < sp - MACHINE_RED_ZONE ? own_sp : sp - MACHINE_RED_ZONE;

	t->sp = sp;
	t->live = t->dead = t->frame = none;
	if (known && from > low) {
		t->live.low = from, t->live.high = high;
		t->dead.low = low, t->dead.high = from;
	} else if (low && high && on_alternate(alt, sp) && fault_here(FAULT_no_altstack)) { /* the mutant: one stack a thread */
		t->dead.low = low, t->dead.high = high;
	}
	if (frame_end > own_sp && (!one_stack || t->live.low == 0))
		t->frame.low = own_sp, t->frame.high = frame_end;
}

BARE static void add_word(struct thread_root *t, uintptr_t w)
{
	if (t->word_count < NELEM(t->words))
		t->words[t->word_count++] = w;
}

/* The thread at a call, not interrupted: preserved registers are all that can hold what the stack does not. */
BARE void park_capture(struct thread_root *t, uintptr_t sp, const uintptr_t *words, unsigned count)
{
	stack_t alt = { 0, SS_DISABLE, 0 };
	t->word_count = 0;
	for (unsigned i = 0; i < count; i++)
		add_word(t, words[i]);
	add_word(t, sp);
	uintptr_t bases[MACHINE_BASES];
	bool bases_known = machine_bases(bases);
	for (unsigned i = 0; i < MACHINE_BASES; i++)
		add_word(t, bases[i]);
	t->context = NULL;
	t->partial = syscall2(SYS_sigaltstack, 0, (long)&alt) != 0 || !bases_known;
	if (!(alt.ss_flags & SS_DISABLE)) /* perhaps only the kernel knows where it is */
		add_word(t, (uintptr_t)alt.ss_sp);
	place(t, sp, sp, sp, &alt, bases[0] != 0 && !t->partial);
}

/* Answers stop E and sleeps until it is over. The root is written. */
BARE static void answer(struct record *r, uint32_t e)
{
	store_release(&r->answered, e); /* pairs with the collector's acquire: the root is complete */
	uint32_t n = __atomic_add_fetch(&stop.answers, 1, __ATOMIC_SEQ_CST); /* store/load with `wanted`: one sees the other */
	if ((int32_t)(n - __atomic_load_n(&stop.wanted, __ATOMIC_SEQ_CST)) >= 0) {
		__atomic_fetch_add(&stop.bell, 1, __ATOMIC_RELEASE);
		room_wake(&stop.bell);
	}
	while (load_acquire(&stop.epoch) == e)
		room_wait(&stop.epoch, e, LOOK_AGAIN_NS);
}

/* Would the kernel interrupt anything for one of these pending signals? Those that are ignored wait only because
 * everything is blocked here. */
BARE bool park_acts(uint64_t pending)
{
	for (; pending; pending &= pending - 1) {
		int sig = __builtin_ctzll(pending) + 1;
		struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } act = { 0, 0, 0, 0 };
		syscall4(SYS_rt_sigaction, sig, 0, (long)&act, 8);
		bool quiet = sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
		if (act.handler != (void *)SIG_IGN && !(act.handler == (void *)SIG_DFL && quiet))
			return true;
	}
	return false;
}

/* Copies a word or less of this process. A plain read only where the page is surely there: that of `sure`. */
BARE static bool peek(void *to, uintptr_t from, size_t n, uintptr_t sure)
{
	struct { void *p; size_t n; } local = { to, n }, remote = { (void *)from, n };
	if (syscall6(SYS_process_vm_readv, stop.pid, (long)&local, 1, (long)&remote, 1, 0) == (long)n)
		return true;
	if (from >> 12 != sure >> 12 || (from + n - 1) >> 12 != sure >> 12)
		return false;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
	return true;
}

/* Does code run here that a wrapper called, and no handler of the program in between? A signal frame is larger than the reach (red
 * zone, ucontext, siginfo and 512 bytes of registers at least); what a longjmp left behind fails by the cookie. */
BARE static bool under_wrapper(uintptr_t sp)
{
	uintptr_t scope = load_relaxed(&self.eintr_scope), cookie = 0;
	return scope && scope - sp < WRAPPER_REACH && peek(&cookie, scope, sizeof cookie, sp) && cookie == (scope ^ SELF_EINTR_COOKIE);
}

/* Does this system call sleep until something happens, and end with EINTR for a handler without SA_RESTART? */
BARE static bool sleeps(long number, long fd)
{
	switch (number) {
	case SYS_read: case SYS_readv: case SYS_write: case SYS_writev: {
		struct stat st = { 0 };
		return syscall2(SYS_fstat, fd, (long)&st) == 0 && !S_ISREG(st.st_mode); /* a disk's reads are not interrupted */
	}
	case SYS_recvfrom: case SYS_recvmsg: case SYS_sendto: case SYS_sendmsg: case SYS_accept: case SYS_accept4: case SYS_connect:
	case SYS_wait4: case SYS_waitid: case SYS_flock: case SYS_mq_timedsend: case SYS_mq_timedreceive:
		return true;
	default:
		return false;
	}
}

/*
 * Our handler interrupted a sleeping call, which the kernel restarts for us (SA_RESTART); meanwhile a signal of the program came whose
 * handler would have ended the call with EINTR. It is delivered when we return, in front of the restarted call, which would then
 * sleep on without it. So the call is not restarted: it returns EINTR behind that handler, as it would have without us.
 */
BARE static bool cut_restart(ucontext_t *uc)
{
	uint8_t code[MACHINE_SYSCALL_BYTES] = { 0 };
	uintptr_t pc = machine_context_pc(uc);
	uint64_t pending = 0, blocked;
	__builtin_memcpy(&blocked, &uc->uc_sigmask, sizeof blocked);
	syscall2(SYS_rt_sigpending, (long)&pending, 8);
	pending &= ~blocked & ~(1ull << (stop.signal - 1));
	if (LIKELY(!pending) || !peek(code, pc, sizeof code, pc) || !machine_is_syscall(code)
	    || !sleeps(machine_context_result(uc), machine_context_argument(uc)))
		return false;
	for (; pending; pending &= pending - 1) {
		struct kernel_action act = { 0 };
		syscall4(SYS_rt_sigaction, __builtin_ctzll(pending) + 1, 0, (long)&act, 8);
		if (act.handler != (void *)SIG_IGN && act.handler != (void *)SIG_DFL && !(act.flags & SA_RESTART)) {
			machine_context_cut(uc);
			return true;
		}
	}
	return false;
}

/*
 * 1: the interrupted call returns EINTR, and but for us it would not (DESIGN 4.2). 2: it returns a count, and may have
 * stopped short for us (a blocking write of much to a pipe); the wrapper knows how much was asked. A frame that is not at a system call
 * leaves the flag alone: it may tell of a call that the wrapper has not looked at yet. A handler of the program that has returned since
 * the attempt began makes it the program's EINTR; the frame would look the same.
 *
 * With 1 and a wrapper to undo it, the thread goes on with its signals blocked: one that comes before the wrapper waits again is then
 * delivered by that wait, not before it. Two stay open: ours, and 32, for whose delivery glibc waits in a cancelled call [t].
 */
BARE static void note_eintr(ucontext_t *uc, bool ours)
{
	uintptr_t pc = machine_context_pc(uc), sp = machine_context_sp(uc);
	uint8_t code[MACHINE_SYSCALL_BYTES] = { 0 };
	long result = machine_context_result(uc);
	if (UNLIKELY(load_relaxed(&self.eintr_masked))) {
		if (under_wrapper(sp)) /* it has yet to look */
			return;
		__builtin_memcpy(&uc->uc_sigmask, &self.eintr_mask, sizeof self.eintr_mask); /* it never will */
		store_relaxed(&self.eintr_masked, 0);
	}
	if (LIKELY(result != -EINTR && (result < 0 || result > INT32_MAX)))
		return;
	if (result >= 0 && result < 1024 && ours && cut_restart(uc)) {
		store_relaxed(&self.eintr_mine, 0);
		return;
	}
	/* The bytes before pc may be on a page that is not there. */
	if (!peek(code, pc - sizeof code, sizeof code, pc) || !machine_is_syscall(code))
		return;
	uint64_t pending = 0, blocked;
	__builtin_memcpy(&blocked, &uc->uc_sigmask, sizeof blocked);
	syscall2(SYS_rt_sigpending, (long)&pending, 8);
	pending &= ~blocked & ~(1ull << (stop.signal - 1));
	bool handled = load_relaxed(&self.handled) != load_relaxed(&self.eintr_handled);
	uint32_t mine = !ours || handled || park_acts(pending) ? 0u : result == -EINTR ? 1u : 2u;
	if (mine == 1 && under_wrapper(sp)) {
		store_relaxed(&self.eintr_mask, blocked);
		store_relaxed(&self.eintr_masked, 1);
		blocked |= ~stop.open;
		__builtin_memcpy(&uc->uc_sigmask, &blocked, sizeof blocked);
	}
	store_relaxed(&self.eintr_mine, mine);
}

BARE __attribute__((noinline)) static void park_interrupted(uint32_t e, const ucontext_t *uc, uintptr_t own_sp, bool has_self)
{
	uintptr_t sp = machine_context_sp(uc);
	struct record *r = task_find((uint32_t)syscall0(SYS_gettid));
	if (!r) /* not listed yet: the pass that finds this thread signals it again */
		return;
	if (has_self && load_relaxed(&self.busy) && !fault_here(FAULT_law3_park_busy)) {
		if (!busy_is_stale(sp, &uc->uc_stack)) {
			store_relaxed(&self.park_wanted, e);
			return;
		}
		store_relaxed(&self.busy, 0);
	}
	struct thread_root *t = &r->root;
	if (aside_root(r->tid, t)) {
		answer(r, e);
		return;
	}
	uintptr_t frame_end = machine_frame_end(uc);
	if (fault_here(FAULT_no_registers)) /* the mutant: the frame, which holds them too, is no root */
		own_sp = frame_end = sp;
	t->word_count = machine_registers(uc, t->words);
	t->partial = !machine_bases(t->words + t->word_count);
	t->word_count += MACHINE_BASES;
	if (!(uc->uc_stack.ss_flags & SS_DISABLE)) /* perhaps only the kernel knows where it is */
		add_word(t, (uintptr_t)uc->uc_stack.ss_sp);
	place(t, sp, own_sp, frame_end, &uc->uc_stack, has_self);
	t->context = uc;
	answer(r, e);
}

MACHINE_ENTRY(park_entry, park_handler);

BARE void park_handler(int sig, siginfo_t *info, void *context, uint32_t rights)
{
	ucontext_t *uc = context;
	uintptr_t tls;
	bool known = machine_tls(&tls), has_self = known && tls != 0; /* a bare clone may have no TLS: then it was never in the heap either */
	bool ours = info->si_code == SI_QUEUE && (info->si_value.sival_ptr == &stop || ping_answered(info));
	bool timer = info->si_code == SI_TIMER, asked = timer || info->si_code > 0; /* above 0: the kernel's own, of a descriptor */
	uint32_t e;

	if (fault_here(FAULT_late_ack))
		room_wait(&stop.bell, load_relaxed(&stop.bell), 50000000);
	e = load_acquire(&stop.epoch);
	if (UNLIKELY(!known)) /* may be busy in the heap, and nobody can tell: it does not answer */
		store_relaxed(&stop.refused, 1);
	else if ((e & 1) && !fault_here(FAULT_ack))
		park_interrupted(e, uc, machine_sp(), has_self);
	void (*chain)(int, siginfo_t *, void *) = (void (*)(int, siginfo_t *, void *))load_acquire(&stop.chain);
	if (!ours && !asked && chain) {
		machine_set_rights(rights);
		chain(sig, info, context);
		machine_set_rights(0);
	}
	if (has_self && asked && heap_hooks.asked) {
		const void *outer = self.interrupted;
		self.interrupted = uc;
		heap_hooks.asked(timer, info->si_value.sival_int);
		self.interrupted = outer;
	}
	if (has_self)
		note_eintr(uc, ours || asked || (info->si_code == SI_USER && (info->si_pid == 0 || info->si_pid == stop.pid)));
}

/*
 * At busy_leave. Signals stay blocked from before the root is written until the stop is over, so that the handler does not
 * answer in the middle; the signal that left the note has been delivered, and one that is still to come finds a later
 * epoch. The note may be an old one: only the epoch counts.
 */
BARE __attribute__((noinline)) void threads_park(void)
{
	uintptr_t words[8] = { 0 };
	uint64_t saved;
	unsigned n = machine_saved_registers(words);
	self.park_wanted = 0;
	if (!threads_block_signals(&saved))
		return;
	uint32_t e = load_acquire(&stop.epoch);
	struct record *r = e & 1 ? task_find((uint32_t)syscall0(SYS_gettid)) : NULL;
	if (r && load_relaxed(&r->answered) != e && !fault(FAULT_ack)) {
		if (!aside_root(r->tid, &r->root))
			park_capture(&r->root, machine_sp(), words, n);
		answer(r, e);
	}
	threads_restore_signals(saved);
}
