/*
 * Loads that fault. While the marker reads, what was plain memory when it was listed may be none: another process truncates a mapped file, a page has a key that
 * nobody told of, the program installed a guard in its block. Such a load ends the mark (law 8), never the program: its handlers for SIGSEGV and SIGBUS make room
 * for ours while all its threads stand still, so that nobody sees them gone.
 *
 *   threads_catch ── setjmp ── fn ── load ──fault──▶ caught_fault ── longjmp ──▶ threads_catch: false
 *
 * What must hold: fn takes no lock, and what it was changing can be dropped. A signal that somebody sent meanwhile is kept back, and sent again.
 */
#include "threads/room.h"
#include "os/os.h"

#include <string.h>

enum { CAUGHT = 2 };
void caught_fault(int number, siginfo_t *info, void *context);
void caught_entry(int number, siginfo_t *info, void *context);
static const int numbers[CAUGHT] = { SIGSEGV, SIGBUS };

static struct { /* of the collecting thread */
	void *jump[5];
	uintptr_t at;
	siginfo_t sent[CAUGHT]; /* si_signo 0: none */
} caught;

/* A fault that we caught, not the one that a debugger or another process made up, nor a memory error that is reported late. */
static bool is_fault(const siginfo_t *info) { return info->si_code > 0 && !(info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO); }

MACHINE_ENTRY(caught_entry, caught_fault); /* which leaves all keys open: so the marker had them (mark.c) */

void caught_fault(int number, siginfo_t *info, void *context)
{
	if (is_fault(info)) {
		caught.at = (uintptr_t)info->si_addr;
		__builtin_longjmp(caught.jump, 1);
	}
	caught.sent[number == SIGBUS] = *info;
	sigaddset(&((ucontext_t *)context)->uc_sigmask, number); /* it comes once */
}

static __attribute__((noinline)) bool guarded(void (*fn)(void *), void *arg)
{
	if (__builtin_setjmp(caught.jump))
		return false;
	fn(arg);
	return true;
}

bool threads_catch(void (*fn)(void *arg), void *arg, uintptr_t *at)
{
	/* Not on the alternate stack: the program may be in the middle of it. */
	const struct kernel_action ours = { (void *)caught_entry, SA_SIGINFO | KERNEL_SA_RESTORER, (void *)machine_restorer, ~0ull };
	const uint64_t open = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1);
	struct kernel_action old[CAUGHT];
	uint64_t mask = THREADS_NO_MASK;
	bool armed[CAUGHT], all = true, done;
	memset(caught.sent, 0, sizeof caught.sent);
	for (unsigned i = 0; i < CAUGHT; i++)
		all &= armed[i] = threads_action(numbers[i], &ours, &old[i]);
	if (all)
		syscall4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&open, (long)&mask, 8); /* refused: as without us */
	done = guarded(fn, arg);
	threads_restore_signals(mask);
	for (unsigned i = 0; i < CAUGHT; i++)
		if (armed[i])
			threads_action(numbers[i], &old[i], NULL);
	for (unsigned i = 0; i < CAUGHT; i++)
		if (caught.sent[i].si_signo)
			threads_resend(&caught.sent[i]);
	*at = done ? 0 : caught.at;
	return done;
}
