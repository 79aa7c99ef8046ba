/* What a stopped thread holds is found: in registers, in its signal frame, on the stack that the collector left. */
#include "threads_kit.h"

static volatile uintptr_t secret_a = 0x5a5a1234deadbeef, secret_b = 0x1111222233334444;
static int holding; /* atomic */
static volatile int release_held;
BARE static void *holds_in_register(void *arg)
{
	if (arg)
		know_stack();
	uintptr_t w = (uintptr_t)&release_held;
	__asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\tmovl $1, %3\n"
			 "1:\tpause\n\tcmpl $0, (%0)\n\tje 1b\n\txor %%r12, %%r12"
			 : : "r"(w), "m"(secret_a), "m"(secret_b), "m"(holding) : "r12", "memory", "cc");
	return NULL;
}
BARE static void *holds_in_vector(void *arg)
{
	if (arg)
		know_stack();
	uintptr_t w = (uintptr_t)&release_held;
	__asm__ volatile("mov %1, %%r12\n\txor %2, %%r12\n\tmovq %%r12, %%xmm9\n\txor %%r12, %%r12\n\tmovl $1, %3\n"
			 "1:\tpause\n\tcmpl $0, (%0)\n\tje 1b\n\tpxor %%xmm9, %%xmm9"
			 : : "r"(w), "m"(secret_a), "m"(secret_b), "m"(holding) : "r12", "xmm9", "memory", "cc");
	return NULL;
}
static void found_when_stopped(void *(*holder)(void *), bool known, bool vector)
{
	pthread_t t;
	uint64_t saved;
	bool in_words = false, in_memory = false;
	pthread_create(&t, NULL, holder, known ? &quit : NULL);
	while (!load_acquire(&holding))
		sched_yield();
	enum abort_reason r = stop_within(&saved, 5);
	if (r == ABORT_NONE) {
		uintptr_t secret = secret_a ^ secret_b;
		for (size_t i = 1; i < threads_count(); i++) {
			in_words |= words_hold(threads_root(i), secret);
			in_memory |= range_holds(threads_root(i)->live, secret) || range_holds(threads_root(i)->frame, secret);
		}
		secret = 0;
		run(saved);
	}
	release_held = 1;
	pthread_join(t, NULL);
	cr_assert_eq(r, ABORT_NONE);
	cr_assert(in_memory, "the signal frame is part of the root");
	cr_assert(vector || in_words);
}
Test(threads, a_pointer_only_in_a_register_is_found) { found_when_stopped(holds_in_register, true, false); }
Test(threads, a_pointer_only_in_a_vector_register_is_found) { found_when_stopped(holds_in_vector, true, true); }
Test(threads, a_pointer_only_in_a_register_is_found_without_stack_bounds) { found_when_stopped(holds_in_register, false, false); }
Test(threads, a_pointer_only_in_a_vector_register_is_found_without_stack_bounds)
{
	found_when_stopped(holds_in_vector, false, true);
}

struct inner {
	enum abort_reason reason;
	uintptr_t here;
	struct thread_root self;
};
static void stop_there(void *arg)
{
	struct inner *in = arg;
	uint64_t saved;
	in->here = (uintptr_t)__builtin_frame_address(0);
	threads_block_signals(&saved);
	in->reason = threads_stop();
	in->self = *threads_root(0);
	if (in->reason == ABORT_NONE)
		threads_resume();
	threads_restore_signals(saved);
}
Test(threads, the_collecting_thread_is_a_root_from_where_it_switched_stacks)
{
	struct inner in = { .reason = ABORT_NO_MEMORY };
	char *stack = mmap(NULL, 256 * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t before = (uintptr_t)__builtin_frame_address(0);
	threads_run_on(stack + 256 * 1024, stop_there, &in);
	cr_assert_eq(in.reason, ABORT_NONE);
	cr_assert(in.here - (uintptr_t)stack < 256 * 1024, "ran on the given stack");
	cr_assert(in.self.sp <= before && before - in.self.sp < 65536);
	cr_assert(inside(in.self.live, (uintptr_t)&in), "the main thread's stack is known");
	cr_assert_eq(in.self.tid, os_tid());
	cr_assert_geq(in.self.word_count, 8);
}
