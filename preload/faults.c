/*
 * explain=1: one line before the program's own fate. report_on=signal: a report before the process dies of a signal whose action is the
 * default; where the program has a handler of its own, ours is not installed.
 *
 *   fault ──▶ on_fault: the line; the program's action is put back; return
 *         ──▶ the instruction faults again: the kernel does what it would have done, with the same siginfo and registers
 *             (the program's handler on its stack with its mask, or the default action with its core)
 *
 * A signal that was sent (kill, sigqueue, a key at the terminal, a memory error reported later) would not come again by itself: it is sent
 * again, with the same siginfo, and is delivered when the handler returns.
 *
 * In the middle of malloc no report can be made. A signal that somebody sent (not one of the thread's own doing: a fault, abort) is then taken as
 * late by a few milliseconds: a timer sends it once more, and the report of an allocating server is not a matter of luck. exec
 * would lose that timer, so it hands the signal on first.
 *
 * sigaction and signal run between step_aside and step_back, with the program's action in the kernel, so the program sees and
 * changes its own. An ignored signal is left ignored: exec hands that on. After the program's handler has run once the
 * action is the program's until the next cycle ends (heap_hooks.cycle_ended), or until it calls sigaction for that signal.
 *
 * What is still seen: sigset, siginterrupt and raw system calls find our handler; a debugger sees each fault twice.
 */
#include "preload/faults.h"
#include "cycle/explain.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "preload/shim.h"
#include "threads/threads.h"
#include "base/text.h"
#include "os/local.h"
#include "os/os.h"

enum { EXPLAINED = 2, SIGNALS = 9, LINES_MOST = 20, PATIENCE = 1000, DELAYS_MOST = 50, DELAY_NS = 2000000 };

static const int numbers[SIGNALS] = { SIGSEGV, SIGBUS, /* the explained ones */ SIGFPE, SIGILL, SIGABRT, SIGHUP, SIGINT, SIGQUIT, SIGTERM };
static void (*tell_end)(int number);         /* report_on=signal */
static STEADY struct kernel_action theirs[SIGNALS]; /* under lock, all signals blocked: the program's action where ours is armed */
static bool armed[SIGNALS];                  /* under lock */
static uint32_t lock;                        /* atomic: no rank, a handler takes it wherever the program was */
static bool started;
static uint32_t lines;                       /* atomic: programs that live by faults (a JVM) are not to fill the log */
static uint32_t delays;                      /* atomic */
static int delayed;                          /* atomic: the signal that comes once more; 0 none */
static bool ending;                          /* atomic: the default action was handed on to, once and for all */

static void on_fault(int number, siginfo_t *info, void *context);

/* -1: none that anybody asked for. */
static int index_of(int number)
{
	const int count = options.report_on & REPORT_ON_SIGNAL ? SIGNALS : options.explain ? EXPLAINED : 0;
	for (int i = 0; i < count; i++)
		if (numbers[i] == number)
			return i;
	return -1;
}

/* Does a signal with this action of the program's go to us first? */
static bool wants(int i, const struct kernel_action *theirs_now)
{
	if (i < EXPLAINED && options.explain)
		return theirs_now->handler != (void *)SIG_IGN;
	return theirs_now->handler == (void *)SIG_DFL;
}

static bool take(unsigned tries)
{
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {
		if (tries && --tries == 0)
			return false;
		os_yield();
	}
	return true;
}
static void drop(void) { store_release(&lock, 0); }

/* Under lock. */
static void arm(int i)
{
	struct kernel_action was;
	if (i < 0 || load_relaxed(&ending) || !threads_handler(numbers[i], on_fault, &was) || was.handler == (void *)on_fault)
		return;
	armed[i] = wants(i, &was);
	if (armed[i])
		theirs[i] = was;
	else
		threads_action(numbers[i], &was, NULL);
}

/* Under lock. */
static void disarm(int i)
{
	if (armed[i])
		threads_action(numbers[i], &theirs[i], NULL);
	armed[i] = false;
}

static bool is_fault(int number) { return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL; }
static bool was_sent(const siginfo_t *info)
{
	return !is_fault(info->si_signo) || info->si_code <= 0 || (info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

/* Comes it again in a moment? A thread whose busy is stale (heap/self.h) never has a better one: so not for ever. */
static bool later(int number)
{
	int timer;
	if (is_fault(number) || number == SIGABRT || !self.busy || os_is_confined() || !identity_own())
		return false;
	if (add_relaxed(&delays, 1) >= DELAYS_MOST || !os_timer_make(number, 0, &timer))
		return false;
	store_relaxed(&delayed, number);
	os_timer_set(timer, DELAY_NS, 0); /* the process is about to end, and its timers with it */
	return true;
}

void faults_exec(void)
{
	const siginfo_t info = { .si_signo = load_relaxed(&delayed), .si_code = SI_QUEUE };
	const int i = info.si_signo ? index_of(info.si_signo) : -1;
	if (i < 0)
		return;
	threads_action(info.si_signo, &theirs[i], NULL);
	threads_resend(&info);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	int i = index_of(number);
	const bool last = theirs[i].handler == (void *)SIG_DFL;
	if (last && (options.report_on & REPORT_ON_SIGNAL) && later(number))
		return;
	if (options.explain && i < EXPLAINED && !was_sent(info) && add_relaxed(&lines, 1) < LINES_MOST)
		explain_fault(number == SIGSEGV ? "SIGSEGV" : "SIGBUS", (uintptr_t)info->si_addr, info->si_code != SI_KERNEL, context);
	if (last && (options.report_on & REPORT_ON_SIGNAL))
		tell_end(number);
	bool taken = take(PATIENCE); /* whoever holds it does so for a few calls; should it not let go, the hand-on matters more */
	if (last)
		store_relaxed(&ending, true);
	threads_action(number, &theirs[i], NULL);
	armed[i] = false;
	if (taken)
		drop();
	if (was_sent(info))
		threads_resend(info);
}

static void arm_again(void)
{
	if (!take(1))
		return; /* somebody is between aside and back: that arms it */
	for (int i = 0; i < SIGNALS; i++)
		if (!armed[i])
			arm(index_of(numbers[i]));
	drop();
}

void faults_start(void (*ends)(int number))
{
	uint64_t mask;
	tell_end = ends;
	if (options.explain && !explain_start())
		say("explain=1: no memory for the table of cycles and sites: faults are explained without them");
	threads_block_signals(&mask);
	started = true;
	heap_hooks.cycle_ended = arm_again;
	arm_again();
	threads_restore_signals(mask);
}

void faults_forked(void)
{
	store_relaxed(&lock, 0);
	store_relaxed(&delayed, 0); /* the parent's */
}

bool faults_step_aside(int number, uint64_t *mask)
{
	int i = index_of(number);
	if (i < 0 || !started || !identity_own())
		return false;
	threads_block_signals(mask);
	take(0);
	disarm(i);
	return true;
}

void faults_step_back(int number, uint64_t mask)
{
	arm(index_of(number));
	drop();
	threads_restore_signals(mask);
}
