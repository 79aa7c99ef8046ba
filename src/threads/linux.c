/*
 * Stopping every thread of this process on Linux, and letting them run again (DESIGN.md section 4 point 2).
 *
 *   0. The handler is (re)installed: glibc installs its own for the same signal at the first pthread_create.
 *   1. The epoch becomes odd. Threads known from the last stop are signalled, before /proc is opened, so that our descriptor
 *      shows to running code as little as can be.
 *   2. Wait until all answered; then read the task list. Whoever is new is signalled, and step 2 starts again. A list that was
 *      read while everybody known stood still, shows nobody new and has as many entries as the kernel counts
 *      threads, is complete: only a running thread can make another.
 *   3. No answer 20 ms after the last signal, a list that is not ours, a signal that can't be sent: the epoch becomes even,
 *      everybody runs, the caller learns why.
 *
 * Why signal 33: programs can't block or handle it under glibc, so it reaches threads that block "everything"; it is queued.
 *
 * Not every listed task can answer. Zombies (a main thread that called pthread_exit) and kernel workers run no program
 * code: skipped. A task that exits leaves the list: gone. ESRCH alone proves nothing (a foreign /proc gives it too).
 * A vfork parent and a SIGSTOPped thread do hold roots and cannot answer: that stop fails.
 */
#include "base/fault.h"
#include "heap/hooks.h"
#include "os/os.h"
#include "threads/room.h"

#include <errno.h>
#include <linux/sched.h>

enum {
	PATIENCE_NS = 20000000,      /* for an answer, after the last signal */
	SLICE_NS = 300000,           /* first wait before we look why somebody is silent; doubles */
	STAT_MAX = 16,               /* silent threads whose stat is read at one look: each costs 10-20 us */
	CROWDED_NS = 300000000,      /* on a crowded machine: all silent threads are runnable, and each will answer when its turn comes */
	RESTORE_TRIES = 3,
	PASSES_MAX = 200,            /* a program that makes threads faster than this is left alone */
	STOP_MAX_NS = 100000000      /* and so is one that keeps a stop from ending for so long */
};

struct stop stop;
static struct thread_root collector_root;
static uint32_t captured_for;   /* TID whose registers threads_run_on holds in collector_root; 0 none */
static uint32_t *parked;        /* indices of the records that answered this stop; a prefix of tasks_active */
static uint32_t parked_count;
static uint64_t last_signal;
static uint32_t newly_found;    /* by the pass in flight */
static bool silent_blocked;     /* at the last close look, some silent thread was not even waiting for a CPU */
static bool starved;            /* in this stop, some signal found no room in the queue */

/* -- signals -- */

/* Ours is in place afterwards, and what was there before is the chain target. */
static bool handler_install(void)
{
	threads_know_keys();
	struct kernel_action now = { 0 }, want = { (void *)park_entry, SA_SIGINFO | SA_ONSTACK | SA_RESTART | KERNEL_SA_RESTORER,
		                           (void *)machine_restorer, ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)) /* as the kernel tells it back */ };
	if (syscall4(SYS_rt_sigaction, stop.signal, 0, (long)&now, 8) < 0)
		return false;
	if (now.handler == want.handler && now.mask == want.mask) /* perhaps without SA_ONSTACK: ping.c */
		return true;
	if (now.handler != want.handler)
		store_release(&stop.chain, now.handler == (void *)SIG_DFL || now.handler == (void *)SIG_IGN ? NULL : now.handler);
	return syscall4(SYS_rt_sigaction, stop.signal, (long)&want, 0, 8) == 0;
}

bool threads_hear(void) { return handler_install(); }

/*
 * The cookie tells the handler only that glibc's need not run.
 *
 * EAGAIN: RLIMIT_SIGPENDING, which counts per user, leaves no room for the contents. Only a signal of code SI_USER may then go
 * without (kernel/signal.c, __send_signal_locked), and only kill() sends that to others (rt_tgsigqueueinfo: EPERM),
 * to the process: the kernel gives it to some thread that does not block it. Who parks blocks it, so one kill() after
 * each answer reaches everybody in turn (`starved`, in wait_for_answers).
 */
static long signal_send(uint32_t tid)
{
	static siginfo_t info; /* one sender at a time */
	if (fault(FAULT_lost_signal)) {
		last_signal = os_now_ns();
		return 0;
	}
	info.si_signo = stop.signal;
	info.si_code = SI_QUEUE;
	info.si_value.sival_ptr = &stop;
	long r = syscall4(SYS_rt_tgsigqueueinfo, stop.pid, tid, stop.signal, (long)&info);
	if (r == -EAGAIN) {
		starved = true;
		r = 0;
	}
	last_signal = os_now_ns();
	return r;
}

static bool block(uint64_t set, uint64_t *saved)
{
	if (!os_is_confined() && syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, (long)saved, 8) == 0)
		return true;
	*saved = THREADS_NO_MASK;
	return false;
}

bool threads_block_signals(uint64_t *saved) { return block(~0ull, saved); }
bool threads_block_handlers(uint64_t *saved) { return block(~stop.open, saved); }

/* A call that a moment ago succeeded: the program must not stay without its signals for one failure. */
void threads_restore_signals(uint64_t saved)
{
	for (int tries = 0; saved != THREADS_NO_MASK && tries < RESTORE_TRIES; tries++)
		if (syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved, 0, 8) == 0)
			return;
}

bool threads_restore_signals_felt(uint64_t saved)
{
	uint64_t pending = 0;
	syscall2(SYS_rt_sigpending, (long)&pending, 8);
	bool felt = park_acts(pending & ~saved & ~(1ull << (stop.signal - 1)));
	threads_restore_signals(saved);
	return felt;
}

/* -- the stop -- */

static inline bool answered(const struct record *r) { return load_acquire(&r->answered) == stop.epoch; }

/* ESRCH proves nothing by itself: the next pass tells whether the task is gone. */
static enum abort_reason task_signal(struct record *r)
{
	long e = signal_send(r->tid);
	r->state = e == -ESRCH ? TASK_UNKNOWN : TASK_AWAITED;
	r->signalled = e == 0;
	return e == 0 || e == -ESRCH ? ABORT_NONE : ABORT_SIGNAL;
}

/* One listed TID. */
static enum abort_reason task_listed(uint32_t tid, uint32_t pass)
{
	struct record *r = task_find(tid);
	struct task_signs signs;
	if (!r && !(r = task_add(tid)))
		return ABORT_NO_MEMORY;
	r->seen = pass;
	if (tid == stop.collector)
		r->state = TASK_SELF;
	if (r->state == TASK_SELF || r->state == TASK_SKIPPED)
		return ABORT_NONE;
	if (r->state == TASK_AWAITED && (r->signalled || answered(r)))
		return ABORT_NONE;
	r->state = task_classify(tid, &signs);
	if (r->state != TASK_AWAITED)
		return ABORT_NONE;
	newly_found++;
	return task_signal(r);
}

/* One pass, and what it says about those who did not answer: not shown by a whole list means exited. */
static enum abort_reason look(struct task_pass *pass)
{
	static uint32_t number; /* never 0: a new record was seen by no pass */
	if (++number == 0)
		number = 1;
	newly_found = 0;
	enum abort_reason reason = tasks_pass(pass, task_listed, number);
	if (reason != ABORT_NONE)
		return reason;
	for (uint32_t i = 0; i < tasks_count && pass->steady; i++) {
		struct record *r = task_record(tasks_active[i]);
		if (r->seen == number || r->state == TASK_SELF)
			continue;
		if (r->state == TASK_AWAITED && answered(r))
			return ABORT_TASK_LIST; /* it sleeps in our handler and is not listed: not our list */
		r->state = TASK_GONE;
	}
	return ABORT_NONE;
}

static uint32_t silent_count(void)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < tasks_count; i++) {
		struct record *r = task_record(tasks_active[i]);
		n += r->state == TASK_AWAITED && !answered(r);
	}
	return n;
}

/* Why are they silent? true: one may be gone, the list should be read. */
static bool silent_examine(bool closely)
{
	bool reread = false;
	unsigned read = 0;
	silent_blocked = false;
	for (uint32_t i = 0; i < tasks_count; i++) {
		struct record *r = task_record(tasks_active[i]);
		struct task_signs signs;
		if (r->state != TASK_AWAITED || answered(r))
			continue;
		if (syscall3(SYS_tgkill, stop.pid, r->tid, 0) == -ESRCH) {
			reread = true;
		} else if (closely && read++ < STAT_MAX) {
			enum task_state s = task_classify(r->tid, &signs);
			if (s == TASK_SKIPPED) /* became a zombie, or its TID went to a worker */
				r->state = s;
			reread |= s == TASK_GONE || signs.exiting;
			silent_blocked |= s == TASK_AWAITED && !signs.exiting && !signs.runnable;
		}
	}
	return reread;
}

/* Until everybody who was signalled has answered or is gone. */
static enum abort_reason wait_for_answers(uint64_t started)
{
	uint64_t slice = SLICE_NS;
	uint32_t last_silent = 0;
	unsigned looks = 0;
	for (;;) {
		uint32_t bell = load_acquire(&stop.bell);
		uint32_t before = __atomic_load_n(&stop.answers, __ATOMIC_SEQ_CST);
		uint32_t silent = silent_count();
		if (silent == 0)
			return ABORT_NONE;
		/* Who answers after the count adds to `before`; seq_cst so that either we see it or it sees `wanted`. */
		uint32_t wanted = before + (starved ? 1 : silent);
		__atomic_store_n(&stop.wanted, wanted, __ATOMIC_SEQ_CST);
		if ((int32_t)(__atomic_load_n(&stop.answers, __ATOMIC_SEQ_CST) - wanted) >= 0)
			continue;
		if (starved) {
			store_relaxed(&stop.drain, 1);
			syscall2(SYS_kill, stop.pid, stop.signal);
			if (silent != last_silent)
				last_signal = os_now_ns();
			last_silent = silent;
		}
		uint64_t asleep = os_now_ns();
		room_wait(&stop.bell, bell, slice);
		uint64_t now = os_now_ns();
		if (now - asleep < slice && now < last_signal + PATIENCE_NS)
			continue;
		bool late = now >= last_signal + PATIENCE_NS || now >= started + STOP_MAX_NS;
		if (silent_examine(late || ++looks > 2)) {
			struct task_pass pass;
			enum abort_reason reason = look(&pass);
			if (reason != ABORT_NONE)
				return reason;
		}
		if (late && silent_count() && os_now_ns() >= last_signal + PATIENCE_NS
		    && (silent_blocked || now >= started + CROWDED_NS))
			return ABORT_THREAD_SILENT;
		if (now >= started + (silent_blocked ? STOP_MAX_NS : CROWDED_NS))
			return ABORT_THREAD_SILENT;
		slice *= 2;
		if (slice > 4000000 || starved)
			slice = starved ? SLICE_NS : 4000000;
	}
}

static enum abort_reason everybody_stops(uint64_t started)
{
	for (uint32_t i = 0; i < tasks_count; i++) {
		struct record *r = task_record(tasks_active[i]);
		r->signalled = false;
		if (r->tid == stop.collector)
			r->state = TASK_SELF;
		else if (r->state == TASK_SELF)
			r->state = TASK_AWAITED;
		else if (r->state != TASK_AWAITED)
			r->state = TASK_UNKNOWN;
		if (r->state == TASK_AWAITED && task_signal(r) != ABORT_NONE)
			return ABORT_SIGNAL;
	}
	for (unsigned passes = 0; passes < PASSES_MAX && os_now_ns() < started + STOP_MAX_NS; passes++) {
		struct task_pass pass;
		enum abort_reason reason = wait_for_answers(started);
		if (reason == ABORT_NONE)
			reason = look(&pass);
		if (reason != ABORT_NONE)
			return reason;
		if (newly_found == 0 && pass.steady && silent_count() == 0)
			return ABORT_NONE;
	}
	return ABORT_THREAD_SILENT;
}

/* The records of the stopped come first, so that threads_root can count through them. false: somebody's root is partial. */
static bool gather(void)
{
	bool whole = !collector_root.partial;
	tasks_drop_gone();
	parked = tasks_active;
	parked_count = 0;
	for (uint32_t i = 0; i < tasks_count; i++) {
		uint32_t index = tasks_active[i];
		struct record *r = task_record(index);
		if (r->state != TASK_AWAITED)
			continue;
		r->root.tid = (int)r->tid;
		whole &= !r->root.partial;
		tasks_active[i] = tasks_active[parked_count];
		tasks_active[parked_count++] = index;
	}
	return whole || fault(FAULT_law8_partial_root); /* the mutant: as if it were whole */
}

/* Even again: whoever sleeps for the old epoch wakes, and late signals find nothing to do. Pairs with the acquire in
 * the handler: what the collector wrote is seen by those who run on. */
static void everybody_runs(void)
{
	parked_count = 0;
	store_relaxed(&stop.collector, 0);
	__atomic_fetch_add(&stop.epoch, 1, __ATOMIC_SEQ_CST);
	room_wake(&stop.epoch);
}

__attribute__((noinline)) enum abort_reason threads_stop(void)
{
	uintptr_t words[8] = { 0 };
	unsigned n = machine_saved_registers(words);
	uint32_t tid = (uint32_t)os_tid();
	uint64_t started = os_now_ns();
	if (captured_for != tid) /* not on threads_run_on's stack: this frame's caller is the root */
		park_capture(&collector_root, machine_sp(), words, n);
	collector_root.tid = (int)tid;

	if (os_pid() != stop.pid) /* a vfork child in our memory: /proc would show its own threads and not those that run here */
		return ABORT_TASK_LIST;
	if (load_relaxed(&stop.refused) || !handler_install())
		return ABORT_SIGNAL;
	store_relaxed(&stop.collector, tid);
	last_signal = started;
	starved = false;
	__atomic_store_n(&stop.wanted, load_relaxed(&stop.answers) + (1u << 30), __ATOMIC_SEQ_CST);
	/* seq_cst with the rows of execs.c: one of the two sees the other. */
	__atomic_fetch_add(&stop.epoch, 1, __ATOMIC_SEQ_CST);
	enum abort_reason reason = execs_live(collector_root.sp) ? ABORT_EXEC
	                           : sharers_live() && !fault(FAULT_law8_ignore_sharers) ? ABORT_SHARED
	                           : heap_hooks.altstack_lost && heap_hooks.altstack_lost() ? ABORT_ALTSTACK : everybody_stops(started);
	if (reason == ABORT_NONE && gather())
		return ABORT_NONE;
	if (reason == ABORT_NONE)
		reason = ABORT_ROOT_UNREADABLE;
	/* Whoever stayed silent is looked at anew next time: its TID may have changed hands. */
	for (uint32_t i = 0; i < tasks_count; i++) {
		struct record *r = task_record(tasks_active[i]);
		if (reason == ABORT_THREAD_SILENT && r->state == TASK_AWAITED && !answered(r))
			r->state = TASK_UNKNOWN;
	}
	everybody_runs();
	tasks_drop_gone();
	return reason;
}

/* Nothing is to be unshared where memory is not shared; where it is, the kernel refuses. */
bool threads_alone(void)
{
	return !os_filtered && !os_is_confined() && syscall1(SYS_unshare, CLONE_VM) == 0;
}

void threads_resume(void) { everybody_runs(); }

bool threads_stopped(void) { return load_acquire(&stop.epoch) & 1; }

size_t threads_count(void) { return 1 + (size_t)parked_count; }
const struct thread_root *threads_root(size_t i) { return i == 0 ? &collector_root : &task_record(parked[i - 1])->root; }

/* -- running on a stack of our own -- */

struct errand {
	void (*fn)(void *);
	void *arg;
};

/* Already on the new stack. The pushed registers lie at sp, and are named besides, for a stack of unknown bounds. */
static void run_captured(uintptr_t sp, void *errand, void *unused)
{
	const struct errand *e = errand;
	uint32_t tid = (uint32_t)os_tid();
	if (!aside_root(tid, &collector_root))
		park_capture(&collector_root, sp, (const uintptr_t *)sp, 6);
	captured_for = tid;
	e->fn(e->arg);
	captured_for = 0;
}

void threads_run_on(void *stack_top, void (*fn)(void *), void *arg)
{
	struct errand e = { fn, arg };
	machine_switch(stack_top, run_captured, &e, NULL);
}

void threads_forked(void)
{
	stop.pid = os_pid();
	execs_forked();
	stop.collector = 0;
	captured_for = 0;
	parked_count = 0;
	if (stop.epoch & 1)
		__atomic_fetch_add(&stop.epoch, 1, __ATOMIC_SEQ_CST);
	aside.tid = 0;
	tasks_forget_all();
	ping_forked();
	sharers_forked();
}
