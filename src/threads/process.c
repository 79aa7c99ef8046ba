/*
 * The process around the stops: start, the bounds of stacks, exec, and the machine's assembly.
 */
#include "heap/self.h"
#include "os/os.h"
#define MACHINE_DEFINE
#include "threads/room.h"

#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>

enum { SIGNAL_REACH = 64 << 10, FRAME_GAP = 256 /* the kernel aligns a frame by less */ };

/*
 * The main thread's stack grows on demand, so its low bound is only claimed: 64 MiB or RLIMIT_STACK below the top, if less.
 * The kernel keeps mmap at least 128 MiB away from the top of the stack (mmap_base), so no other mapping lies in between;
 * the roots room cuts `dead` to the mapping that holds sp. A stack pointer below the claim counts as unknown bounds.
 *
 * The top is where execve began: the program's name, which AT_EXECFN shows, and a null word behind it (the kernel's
 * fs/exec.c). Reading /proc/self/maps for it took a tenth of the start of a small program.
 */
static void main_stack_known(void)
{
	struct rlimit limit = { 8 << 20, 8 << 20 };
	uintptr_t name = getauxval(AT_EXECFN), high = name ? align_up(name + strlen((const char *)name) + 1 + sizeof(void *), 4096) : 0;
	syscall4(SYS_prlimit64, 0, RLIMIT_STACK, 0, (long)&limit);
	uintptr_t reach = limit.rlim_cur > (64u << 20) ? (64u << 20) : (uintptr_t)limit.rlim_cur, here = (uintptr_t)&limit;
	if (reach && here < high && high - here < reach)
		threads_stack_known(align_down(high - reach, 4096), high);
}

void threads_start(int signal_option)
{
	stop.pid = os_pid();
	stop.signal = signal_option ? signal_option : 33;
	stop.open = 1ull << (stop.signal - 1) | 1ull << (32 - 1);
	tasks_start();
	if (os_tid() == stop.pid)
		main_stack_known();
}

const char *threads_unsupported(void)
{
	siginfo_t info = { .si_code = SI_QUEUE };
	uintptr_t bases[MACHINE_BASES];
	uint64_t mask;
#ifndef __GLIBC__
	return "threads cannot be stopped: this C library keeps no signal that reaches every thread";
#endif
	if (syscall4(SYS_rt_tgsigqueueinfo, os_pid(), os_tid(), 0, (long)&info) < 0)
		return "threads cannot be stopped: the kernel refuses rt_tgsigqueueinfo";
	if (!machine_bases(bases))
		return "threads cannot be stopped: the kernel refuses arch_prctl";
	if (!threads_block_signals(&mask))
		return "threads cannot be stopped: the kernel refuses rt_sigprocmask";
	threads_restore_signals(mask);
	if (!tasks_own())
		return "threads cannot be stopped: /proc/self/task is missing or belongs to another PID namespace";
	return NULL;
}

void threads_stack_known(uintptr_t low, uintptr_t high)
{
	/* The handler must never see a pair of two stacks: high 0 means unknown. */
	store_relaxed(&self.stack_high, 0);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	store_relaxed(&self.stack_low, low);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	store_relaxed(&self.stack_high, high);
}

/* A vfork child shares our memory and has another PID. */
void threads_exec_enter(struct exec_frame *frame)
{
	if (os_pid() != stop.pid)
		return;
	execs_enter(frame);
	/* A signal of an earlier stop may be pending still. What is this thread's own is delivered at the end of a system call;
	 * what kill() left for the process is taken out here, for it would outlive the exec. */
	syscall0(SYS_gettid);
	uint64_t set = 1ull << (stop.signal - 1);
	struct { long s, n; } now = { 0, 0 };
	siginfo_t info;
	info.si_code = 0;
	while (stop.drain && syscall4(SYS_rt_sigtimedwait, (long)&set, (long)&info, (long)&now, 8) > 0) {
		void (*chain)(int, siginfo_t *, void *) = (void (*)(int, siginfo_t *, void *))load_acquire(&stop.chain);
		if (info.si_code == SI_TKILL && chain) /* glibc's, and somebody waits for its answer */
			chain(stop.signal, &info, NULL);
	}
}

void threads_stop_settled(bool busy)
{
	const uint32_t e = __atomic_load_n(&stop.epoch, __ATOMIC_SEQ_CST); /* pairs with that of threads_stop */
	if (!(e & 1) || os_pid() != stop.pid || load_relaxed(&stop.collector) == (uint32_t)syscall0(SYS_gettid))
		return;
	if (busy)
		store_relaxed(&self.park_wanted, e);
	while (!busy && load_acquire(&stop.epoch) == e)
		room_wait(&stop.epoch, e, LOOK_AGAIN_NS);
}

int threads_signal(void) { return stop.signal; }

/* A signal for the process goes to any thread; blocked here, it shows as pending until somebody has it, and unblocked it may be us. It
 * is not fetched by sigtimedwait: glibc's own signal of that number must reach its handler. */
void threads_settle(void)
{
	uint64_t one = 1ull << (stop.signal - 1), saved = 0, pending = one;
	for (int tries = 0; pending & one && tries < 10; tries++) {
		pending = 0;
		if (syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&one, (long)&saved, 8) < 0)
			return;
		syscall2(SYS_rt_sigpending, (long)&pending, 8);
		threads_restore_signals(saved);
	}
}

_Static_assert(offsetof(struct self, handled) == 8, "SELF_HANDLED");

/* The restorer alone is exchanged: whoever asks sigaction sees its own handler. Between reading and writing, somebody else may have
 * installed another: the old action, which the kernel returns, tells, and it is put back. One-shot handlers are left alone,
 * because they could be gone by then. */
void threads_count_handler(int signal_number)
{
	struct kernel_action now = { 0 }, was = { 0 };
	if (syscall4(SYS_rt_sigaction, signal_number, 0, (long)&now, 8) < 0)
		return;
	for (unsigned tries = 0; tries < 10; tries++) {
		if (now.handler == (void *)SIG_DFL || now.handler == (void *)SIG_IGN || (now.flags & (unsigned long)SA_RESETHAND)
		    || !(now.flags & KERNEL_SA_RESTORER) || now.restorer == (void *)machine_counting_restorer)
			return;
		struct kernel_action counted = now;
		counted.restorer = (void *)machine_counting_restorer;
		if (syscall4(SYS_rt_sigaction, signal_number, (long)&counted, (long)&was, 8) < 0
		    || (was.handler == now.handler && was.flags == now.flags && was.mask == now.mask))
			return;
		syscall4(SYS_rt_sigaction, signal_number, (long)&was, 0, 8);
		now = was;
	}
}

bool threads_action(int signal_number, const struct kernel_action *set, struct kernel_action *old)
{
	return syscall4(SYS_rt_sigaction, signal_number, (long)set, (long)old, 8) == 0;
}

static void (*handler)(int, siginfo_t *, void *); /* atomic: what threads_handler installs */
void threads_handled(int signal_number, siginfo_t *info, void *context);
void threads_handled_entry(int signal_number, siginfo_t *info, void *context);
MACHINE_ENTRY(threads_handled_entry, threads_handled);

void threads_handled(int signal_number, siginfo_t *info, void *context) { load_acquire(&handler)(signal_number, info, context); }

bool threads_handler(int signal_number, void (*fn)(int, siginfo_t *, void *), struct kernel_action *old)
{
	struct kernel_action ours = { (void *)threads_handled_entry, SA_SIGINFO | SA_ONSTACK | SA_RESTART | KERNEL_SA_RESTORER, (void *)machine_restorer,
		                      ~stop.open };
	threads_know_keys();
	store_release(&handler, fn);
	if (!threads_action(signal_number, &ours, old))
		return false;
	if (old->handler == ours.handler)
		old->handler = (void *)fn;
	return true;
}

void threads_know_keys(void)
{
	static uint32_t known; /* atomic */
	if (UNLIKELY(!load_relaxed(&known))) {
		store_release(&machine_keys, machine_has_keys());
		store_release(&known, 1);
	}
}

/* Kernels before 5.14 have no such question (EINVAL, as for pages that are read only): asked of a page that is written. */
bool threads_frame_fits(uintptr_t low, uintptr_t high)
{
	enum { FRAME = 8192, PAGE = 4096, POPULATE_WRITE = 23 };
	const uintptr_t from = align_down(high - low > FRAME ? high - FRAME : low, PAGE), end = align_up(high, PAGE);
	threads_know_keys();
	const long r = machine_advise(from, end - from, POPULATE_WRITE);
	return r == 0 || (r == -EINVAL && syscall3(SYS_madvise, (long)align_down((uintptr_t)&stop, PAGE), PAGE, POPULATE_WRITE) == -EINVAL && os_readable(high - 8));
}

bool threads_resend(const siginfo_t *info)
{
	const int pid = os_pid(), tid = os_tid();
	return syscall4(SYS_rt_tgsigqueueinfo, pid, tid, info->si_signo, (long)info) == 0 || syscall3(SYS_tgkill, pid, tid, info->si_signo) == 0;
}

const char *threads_register(const void *context, unsigned i, uintptr_t *word)
{
	uintptr_t words[NELEM(((struct thread_root *)0)->words)];
	if (i >= NELEM(machine_names) || i >= machine_registers(context, words))
		return NULL;
	*word = words[i];
	return machine_names[i];
}

/* A signal frame begins with the restorer's address and the flags and link of a ucontext: 7 and 0 at most. */
BARE uintptr_t threads_signal_frame(uintptr_t from)
{
	uintptr_t words[66];
	from = align_up(from, 8);
	for (uintptr_t at = from; at < from + SIGNAL_REACH; at += sizeof words - 16) { /* pieces overlap by two words */
		long got = os_read_self(words, at, sizeof words);
		for (long i = 0; (i + 3) * 8 <= got; i++)
			if (words[i] == (uintptr_t)machine_restorer && words[i + 1] <= 7 && words[i + 2] == 0)
				return at + (uintptr_t)i * 8;
		if (got < (long)sizeof words)
			return 0;
	}
	return 0;
}

bool threads_frame(const struct thread_root *t, struct thread_frame *f)
{
	_Static_assert(NELEM(f->registers) == MACHINE_PARTS, "room for what the machine tells");
	const ucontext_t *uc = t->context;
	f->count = uc ? machine_register_parts(uc, f->registers) : 0;
	if (!f->count)
		return false;
	const uintptr_t end = machine_frame_end(uc), program = machine_context_sp(uc) - MACHINE_RED_ZONE;
	const uintptr_t answered = t->frame.high ? t->frame.low : t->sp > end ? t->live.low : t->sp - MACHINE_RED_ZONE;
	f->ours.high = program - end < FRAME_GAP ? program : end; /* else on another stack */
	f->ours.low = answered < f->ours.high && f->ours.high - answered < SIGNAL_REACH ? answered : (uintptr_t)uc;
	return true;
}

bool threads_alternate(uintptr_t sp, struct range *r)
{
	stack_t alt = { 0, SS_DISABLE, 0 };
	if (syscall2(SYS_sigaltstack, 0, (long)&alt) != 0 || alt.ss_flags & SS_DISABLE || sp - (uintptr_t)alt.ss_sp >= alt.ss_size)
		return false;
	*r = (struct range){ (uintptr_t)alt.ss_sp, (uintptr_t)alt.ss_sp + alt.ss_size };
	return true;
}

/* What park_interrupted and park_capture put there, in their order. */
const char *threads_word_name(const struct thread_root *t, unsigned i)
{
	bool interrupted = t->word_count >= NELEM(machine_names) + MACHINE_BASES;
	unsigned named = interrupted ? NELEM(machine_names) : NELEM(machine_saved_names);
	if (i < named)
		return interrupted ? machine_names[i] : machine_saved_names[i];
	if (!interrupted && i == named)
		return "rsp";
	i -= interrupted ? named : named + 1;
	return i < MACHINE_BASES ? "thread pointer" : "alternate stack";
}

void threads_own_ranges(void (*fn)(uintptr_t low, uintptr_t high)) { tasks_own_ranges(fn); }
