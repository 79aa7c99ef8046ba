/* A thread that the stop signal brought to work of ours is, for every stop meanwhile, what the signal interrupted. */
#include "threads_kit.h"

static volatile uintptr_t secret_a = 0x5a5a1234deadbeef, secret_b = 0x1111222233334444;
static int holding, in_errand; /* atomic */
static int interrupted;        /* the holder's TID, before `holding` */
static volatile int release_held, release_errand;
static char *other_stack;
static uintptr_t errand_sp;
static stack_t during, after;
static uint64_t mask_during;
enum { STACK = 64 << 10, VALUE = 4711 };

/* The pointer is in no place but r12, and in the frame of the signal that comes. */
BARE static void *holds_in_register(void *arg)
{
	know_stack();
	interrupted = os_tid();
	/* AddressSanitizer gives each thread an alternate stack. */
	stack_t s = arg ? (stack_t){ arg, 0, STACK } : (stack_t){ .ss_flags = SS_DISABLE };
	sigaltstack(&s, NULL);
	uintptr_t w = (uintptr_t)&release_held;
	__asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\tmovl $1, %3\n"
			 "1:\tpause\n\tcmpl $0, (%0)\n\tje 1b\n\txor %%r12, %%r12"
			 : : "r"(w), "m"(secret_a), "m"(secret_b), "m"(holding) : "r12", "memory", "cc");
	sigaltstack(NULL, &after);
	return NULL;
}

BARE static void errand(void *arg)
{
	errand_sp = (uintptr_t)__builtin_frame_address(0);
	syscall(SYS_sigaltstack, NULL, &during);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask_during, 8);
	store_release(&in_errand, 1);
	while (!release_errand)
		cpu_relax();
}
static void asked(bool timer, int value)
{
	if (timer && value == VALUE)
		threads_run_aside(other_stack + STACK, errand, NULL);
}

static void ask(void)
{
	siginfo_t info = { .si_signo = 33, .si_code = SI_TIMER };
	info.si_value.sival_int = VALUE;
	cr_assert(syscall(SYS_rt_tgsigqueueinfo, getpid(), interrupted, 33, &info) == 0);
	while (!load_acquire(&in_errand))
		sched_yield();
}

static void is_what_was_interrupted(void *alternate)
{
	pthread_t t;
	uint64_t saved;
	bool in_memory = false, of_other_stack = false;
	if (getenv("CGC_FAULT"))
		cr_assert_null(fault_parse(getenv("CGC_FAULT")));
	other_stack = os_map(STACK);
	heap_hooks.asked = asked;
	pthread_create(&t, NULL, holds_in_register, alternate);
	cr_assert(threads_hear());
	while (!load_acquire(&holding))
		sched_yield();
	ask();
	for (int i = 0; i < 20; i++) { /* and it answers every time, in the middle of its errand */
		enum abort_reason r = stop_within(&saved, 5);
		cr_assert_eq(r, ABORT_NONE);
		const struct thread_root *root = root_of(interrupted);
		uintptr_t secret = secret_a ^ secret_b;
		in_memory = root && (range_holds(root->live, secret) || range_holds(root->frame, secret)
		                     || (alternate && range_holds((struct range){ (uintptr_t)alternate, (uintptr_t)alternate + STACK }, secret)));
		of_other_stack |= !root || (root->sp >= (uintptr_t)other_stack && root->sp < (uintptr_t)other_stack + STACK);
		secret = 0;
		run(saved);
	}
	release_errand = release_held = 1;
	pthread_join(t, NULL);
	cr_assert(in_memory, "what it held in a register is in its root");
	cr_assert(!of_other_stack, "its stack pointer is the program's");
	cr_assert(errand_sp >= (uintptr_t)other_stack && errand_sp < (uintptr_t)other_stack + STACK);
	cr_assert(during.ss_flags & SS_DISABLE, "no frame can come over ours on the alternate stack");
	cr_assert_eq(~mask_during & ~(1ull << 8 | 1ull << 18), 1ull << 32, "only the stop signal comes");
	cr_assert(alternate ? after.ss_sp == alternate && !(after.ss_flags & SS_DISABLE) : after.ss_flags & SS_DISABLE);
}

Test(threads, in_an_errand_a_thread_is_what_was_interrupted) { is_what_was_interrupted(NULL); }
Test(threads, in_an_errand_on_an_alternate_stack_too) { is_what_was_interrupted(os_map(STACK)); }

Test(threads, settled_no_signal_is_on_its_way)
{
	uint64_t saved, one = 1ull << 32, pending = 0;
	heap_hooks.asked = NULL;
	cr_assert(threads_hear());
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &one, &saved, 8);
	for (int i = 0; i < 3; i++)
		cr_assert(kill(getpid(), 33) == 0);
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, NULL, 8);
	threads_settle();
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &one, NULL, 8);
	syscall(SYS_rt_sigpending, &pending, 8);
	cr_assert(!(pending & one));
}
