/*
 * Stacks of this very process, against libgcc's unwinder, which is right and slow; and every capture that remembers against one that
 * does not. cfi_test.c has the tables that no compiler at hand writes.
 */
#include "backtrace/backtrace.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "base/fault.h"
#include "heap/self.h"
#include "threads/threads.h"

#include <alloca.h>
#include <dlfcn.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { MOST = BACKTRACE_MOST };
#define NOINLINE __attribute__((noinline, noclone))
/* Keeps a call from being the last thing that its function does. */
#define STAY() __asm__ volatile("" ::: "memory")

struct stack {
	uintptr_t pcs[MOST + 16];
	size_t count;
};

static _Unwind_Reason_Code collect(struct _Unwind_Context *c, void *arg)
{
	struct stack *s = arg;
	uintptr_t pc = _Unwind_GetIP(c);
	if (s->count == NELEM(s->pcs))
		return _URC_END_OF_STACK;
	if (pc)
		s->pcs[s->count++] = pc;
	return _URC_NO_REASON;
}

static void drop_until(struct stack *s, uintptr_t pc)
{
	size_t i = 0;
	while (i < s->count && s->pcs[i] != pc)
		i++;
	s->count -= i;
	memmove(s->pcs, s->pcs + i, s->count * sizeof *s->pcs);
}

static bool same(const struct stack *a, const struct stack *b)
{
	return a->count == b->count && !memcmp(a->pcs, b->pcs, a->count * sizeof *a->pcs);
}

static struct stack remembered, plain, libgcc; /* of the last look() */
static bool no_libgcc;  /* frames that it doesn't know */
static unsigned looks, wrong_plain, wrong_libgcc;

/* Stands for malloc: its return address is the innermost frame. */
NOINLINE static void look(void)
{
	const void *caller = __builtin_return_address(0);
	remembered.count = depot_stack(backtrace_here(caller), remembered.pcs, MOST);
	plain.count = backtrace_plain(caller, plain.pcs, MOST);
	libgcc.count = 0;
	if (!no_libgcc)
		_Unwind_Backtrace(collect, &libgcc);
	drop_until(&libgcc, (uintptr_t)caller);
	if (libgcc.count > MOST)
		libgcc.count = MOST;
	looks++;
	wrong_plain += !same(&remembered, &plain);
	wrong_libgcc += !no_libgcc && !same(&plain, &libgcc);
	STAY();
}

static void begin(void)
{
	threads_start(33);
	cr_assert_null(getenv("CGC_FAULT") ? fault_parse(getenv("CGC_FAULT")) : NULL);
	cr_assert(backtrace_start());
	looks = wrong_plain = wrong_libgcc = 0;
}

static void end(unsigned least)
{
	cr_assert_geq(looks, least);
	cr_assert_eq(wrong_plain, 0u, "%u of %u remembered stacks differ from the plain walk", wrong_plain, looks);
	cr_assert_eq(wrong_libgcc, 0u, "%u of %u stacks differ from libgcc's", wrong_libgcc, looks);
}

NOINLINE static int descend(int depth, int size)
{
	char *p = alloca((size_t)size + 1); /* CFA by rbp, at another distance each time */
	memset(p, depth, (size_t)size + 1);
	if (depth)
		descend(depth - 1, (size * 7 + 3) % 97);
	else
		look();
	STAY();
	return p[0];
}

NOINLINE static int wander(unsigned *seed, int depth)
{
	for (int i = 0; i < 3; i++) {
		*seed = *seed * 1103515245 + 12345;
		if ((*seed >> 16) % 3 == 0 || depth == 0)
			look();
		else
			wander(seed, depth - 1);
	}
	STAY();
	return depth;
}

/* The stack is aligned anew: CFA is a word in memory. */
NOINLINE static int realigned(int depth)
{
	volatile char wide[64] __attribute__((aligned(64)));
	wide[0] = (char)depth;
	char *p = alloca((size_t)depth * 16 + 16);
	memset(p, 0, 16);
	if (depth)
		realigned(depth - 1);
	else
		look();
	STAY();
	return wide[0] + p[0];
}

Test(backtrace, every_frame_is_libgccs)
{
	begin();
	for (int depth = 0; depth < 40; depth++)
		for (int size = 0; size < 50; size += 7)
			descend(depth, size);
	unsigned seed = 1;
	for (int i = 0; i < 20; i++)
		wander(&seed, 6);
	for (int depth = 0; depth < 10; depth++)
		realigned(depth);
	end(500);
	struct backtrace_totals t;
	backtrace_totals(&t);
	cr_assert_gt(t.suffix_hits, t.captures / 2);
	cr_assert_eq(t.cut, 0u);
	cr_assert_lt(t.walked, t.frames / 2);
}

Test(backtrace, a_deep_stack_keeps_its_innermost_frames)
{
	begin();
	for (int depth = MOST - 20; depth < MOST + 20; depth++) {
		descend(depth, 10);
		descend(depth, 20);
	}
	end(80);
	cr_assert_eq(plain.count, (size_t)MOST);
}

enum { LEVELS = 6000 };
static bool ways[LEVELS], silent[LEVELS + 1]; /* of each level: the call that leads on; whether its stack is looked at */
NOINLINE static int recurse(int level, int deepest)
{
	if (!silent[level])
		look();
	if (level < deepest) {
		if (ways[level]) {
			recurse(level + 1, deepest);
			STAY();
		} else {
			recurse(level + 1, deepest);
			__asm__ volatile("nop" ::: "memory");
		}
		if (!silent[level])
			look();
	}
	STAY();
	return level;
}

static void ways_at_random(void)
{
	unsigned seed = 7;
	for (int i = 0; i < LEVELS; i++) {
		seed = seed * 1103515245 + 12345;
		ways[i] = seed >> 16 & 1;
	}
}

/* Deeper than what a thread remembers: every level costs a few nodes, not a stack of its own, and walks few frames. */
Test(backtrace, recursion_costs_each_level_little)
{
	struct backtrace_totals before, after;
	begin();
	no_libgcc = true; /* all frames each time */
	ways_at_random();
	backtrace_totals(&before);
	uint32_t nodes = depot_count();
	recurse(0, LEVELS);
	recurse(0, LEVELS);
	backtrace_totals(&after);
	cr_assert_leq(depot_count() - nodes, 3 * looks);
	cr_assert_leq(after.walked - before.walked, 3 * looks);
	end(4 * LEVELS);
}

/* What was forgotten further out may be another way now: levels up to 1977 are when that of 3001 is remembered. */
Test(backtrace, recursion_by_another_way_is_another_stack)
{
	begin();
	no_libgcc = true;
	ways_at_random();
	for (int level = 1960; level < 2300; level += 20) {
		for (int i = 0; i < LEVELS; i++)
			silent[i] = i < 3000;
		recurse(0, 3100);
		for (int i = 0; i < LEVELS; i++) {
			silent[i] = i != level;
			ways[i] ^= i < 1950;
		}
		recurse(0, level);
	}
	end(3000);
}

/* ---- other stacks ---- */

static void on_signal(int number)
{
	look();
	STAY();
}

/* By raise, not by number: ThreadSanitizer runs a handler at once only for the calls that it knows to send one. */
NOINLINE static void raise_here(void)
{
	raise(SIGUSR1);
	STAY();
}

static void handle(int flags)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };
	sigaction(SIGUSR1, &act, NULL);
}

static void alternate(void)
{
	static char area[64 * 1024];
	stack_t s = { .ss_sp = area, .ss_size = sizeof area };
	sigaltstack(&s, NULL);
}

Test(backtrace, a_signal_frame_is_crossed)
{
	begin();
	handle(0);
	for (int i = 0; i < 10; i++) {
		raise_here();
		look();
	}
	size_t direct = plain.count;
	raise_here();
	cr_assert_gt(plain.count, direct + 2);
	end(20);
}

Test(backtrace, from_an_alternate_stack_to_the_ordinary_one)
{
	begin();
	alternate();
	handle(SA_ONSTACK);
	for (int i = 0; i < 10; i++) {
		raise_here();
		look();
	}
	raise_here();
	end(20);
	threads_stack_known(0, 0);
	raise_here();
	end(21);
}

#ifdef __x86_64__
/* As a program without libc gives it: no call-frame rules, only the nine bytes that everybody knows. */
void bare_restorer(void);
__asm__(".text\n.p2align 4\nret\n.globl bare_restorer\nbare_restorer: mov $15, %rax\n syscall\n");

Test(backtrace, a_restorer_without_rules_is_known_by_its_code)
{
	begin();
	struct kernel_action act = { (void *)on_signal, 0x04000000, (void *)bare_restorer, 0 };
	cr_assert_eq(syscall(SYS_rt_sigaction, SIGUSR1, &act, NULL, 8), 0);
	for (int i = 0; i < 5; i++)
		raise_here();
	end(5);
}

/* Generated code: push rbp; mov rbp, rsp; call *rdi; pop rbp; ret, nested. */
Test(backtrace, code_without_rules_is_walked_by_frame_pointer)
{
	static const uint8_t code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
	begin();
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, code, sizeof code);
	void (*call)(void (*)(void)) = (void (*)(void (*)(void)))(uintptr_t)page;
	no_libgcc = true;
	for (int i = 0; i < 5; i++)
		call(look);
	end(5);
	cr_assert_eq(plain.pcs[0], (uintptr_t)page + 6);
	struct backtrace_totals t;
	backtrace_totals(&t);
	cr_assert_gt(t.frame_pointer, 0u);
}

/* A frame pointer that leads to something else than a call is not believed. */
Test(backtrace, a_frame_pointer_that_leads_nowhere_ends_the_stack)
{
	/* push rbp; push 0x1234567; push rsp's chain: lea rbp, [rsp - 8]; here rbp points at {itself, 0x1234567} */
	static const uint8_t code[] = { 0x55, 0x68, 0x67, 0x45, 0x23, 0x01, 0x54, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x58, 0x58, 0x5d, 0xc3 };
	begin();
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, code, sizeof code);
	void (*call)(void (*)(void)) = (void (*)(void (*)(void)))(uintptr_t)page;
	no_libgcc = true;
	call(look);
	call(look);
	end(2);
	cr_assert_eq(plain.count, 1u);
	struct backtrace_totals t;
	backtrace_totals(&t);
	cr_assert_gt(t.cut, 0u);
}
#endif

static ucontext_t home, away[2];
NOINLINE static void coroutine(int which)
{
	for (int i = 0; i < 6; i++) {
		descend(i, 30);
		swapcontext(&away[which], &home);
	}
	STAY();
}

Test(backtrace, coroutines_have_stacks_of_their_own)
{
	begin();
	for (int i = 0; i < 2; i++) {
		getcontext(&away[i]);
		/* Nothing above it: who reads past its end dies. */
		char *area = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(area + 4096, 6 * 4096, PROT_READ | PROT_WRITE);
		away[i].uc_stack = (stack_t){ .ss_sp = area + 4096, .ss_size = 6 * 4096 };
		away[i].uc_link = &home;
		makecontext(&away[i], (void (*)(void))coroutine, 1, i);
	}
	for (int i = 0; i < 12; i++) {
		swapcontext(&home, &away[i % 2]);
		look();
	}
	end(24);
}

static void *in_thread(void *known)
{
	pthread_attr_t attr;
	void *low;
	size_t size;
	if (known) {
		pthread_getattr_np(pthread_self(), &attr);
		pthread_attr_getstack(&attr, &low, &size);
		pthread_attr_destroy(&attr);
		threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
	}
	for (int i = 0; i < 20; i++)
		descend(i % 4, 10);
	backtrace_thread_exit();
	look();
	return NULL;
}

Test(backtrace, a_thread_ends_where_it_was_born)
{
	begin();
	for (uintptr_t i = 0; i < 6; i++) {
		pthread_t t;
		cr_assert_eq(pthread_create(&t, NULL, in_thread, (void *)(i & 1)), 0);
		pthread_join(t, NULL);
	}
	end(120);
	struct backtrace_totals t;
	backtrace_totals(&t);
	cr_assert_eq(t.cut, 0u);
}

/* ---- what is remembered ---- */

static void tick(int number) { look(); }

Test(backtrace, a_handler_on_top_of_a_capture_disturbs_nothing)
{
	begin();
	alternate();
	struct sigaction act = { .sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART };
	sigaction(SIGALRM, &act, NULL);
	struct itimerval often = { { 0, 300 }, { 0, 300 } };
	unsigned wrong = 0;
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned i = 0; i < 3000; i++) {
		uintptr_t a[MOST], b[MOST];
		void *caller = __builtin_return_address(0);
		size_t n = depot_stack(backtrace_here(caller), a, MOST), m = backtrace_plain(caller, b, MOST);
		wrong += n != m || memcmp(a, b, n * sizeof *a) != 0;
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);
	cr_assert_eq(wrong, 0u);
	cr_assert_eq(wrong_plain, 0u);
}

/* The word that changes is a return address far out, of a frame that no new frame has to do with, and behind those that tell tails apart. */
NOINLINE static void shared_inner(int depth)
{
	if (depth)
		shared_inner(depth - 1);
	for (int i = 0; i < 4 && !depth; i++)
		look();
	STAY();
}
NOINLINE static void by_one_way(void) { shared_inner(5); STAY(); }
NOINLINE static void by_another_way(void) { shared_inner(5); STAY(); }

static unsigned differ_with(const char *fault)
{
	begin();
	cr_assert_null(fault ? fault_parse(fault) : NULL);
	for (int i = 0; i < 10; i++) {
		by_one_way();
		by_another_way();
	}
	return wrong_plain;
}
Test(backtrace, a_change_further_out_is_seen) { cr_assert_eq(differ_with(NULL), 0u); }
Test(backtrace, without_the_comparison_of_words_it_would_not_be) { cr_assert_gt(differ_with("no_suffix_check"), 0u); }
#ifndef __SANITIZE_ADDRESS__ /* whose frames count from the frame pointer, so that no tail is found */
Test(backtrace, nor_without_that_of_tails) { cr_assert_gt(differ_with("no_tail_check"), 0u); }
#endif

/* Four ways to the same frames at the same place: none may drive out another, and which comes next is no rule. */
NOINLINE static void by_a_third_way(void) { shared_inner(5); STAY(); }
NOINLINE static void by_a_fourth_way(void) { shared_inner(5); STAY(); }
/* Frames that were walked in 1,200 captures of the four, from a place of the stack that is `lower` bytes further down. */
NOINLINE static uint64_t walked_of_four(int lower)
{
	static void (*const four[])(void) = { by_one_way, by_another_way, by_a_third_way, by_a_fourth_way };
	struct backtrace_totals before, after;
	char *room = alloca((size_t)lower + 1);
	memset(room, 0, (size_t)lower + 1);
	unsigned seed = 1;
	for (int i = 0; i < 400; i++) {
		if (i == 100)
			backtrace_totals(&before);
		seed = seed * 1103515245 + 12345;
		four[seed >> 16 & 3]();
	}
	backtrace_totals(&after);
	cr_assert_geq(after.captures - before.captures, 1200u);
	STAY();
	return after.walked - before.walked;
}

/* Where addresses have it that two of the four calls of look() share a set, eight stacks drive each other out of four ways: seldom, and hardly at three
 * places of the stack. */
Test(backtrace, four_ways_to_one_place_are_all_remembered)
{
	uint64_t least = UINT64_MAX;
	begin();
	for (int i = 0; i < 3; i++) {
		const uint64_t walked = walked_of_four(i * 208);
		least = walked < least ? walked : least;
	}
	end(4800);
#ifndef __SANITIZE_ADDRESS__ /* see above */
	cr_assert_leq(least, 1200u / 20, "%zu frames of 1,200 captures", (size_t)least);
#endif
}

/*
 * A frame that counts from the frame pointer, at the same stack pointer with another one: what is between its words and the stack pointer is
 * old memory, where a return address of before still stands.
 */
NOINLINE static void leaf_x(void) { look(); STAY(); }
NOINLINE static void leaf_y(void) { look(); STAY(); }
NOINLINE static void middle(int leaves)
{
	if (leaves & 1)
		leaf_x();
	if (leaves & 2)
		leaf_y();
	STAY();
}
NOINLINE static void lower(size_t room, int leaves)
{
	char *p = alloca(room);
	__asm__ volatile("" : : "r"(p) : "memory");
	middle(leaves);
	STAY();
}
NOINLINE static void upper(size_t room, int leaves, bool other)
{
	char *p = alloca(256 - room);
	__asm__ volatile("" : : "r"(p) : "memory");
	if (other) {
		lower(room, leaves);
		__asm__ volatile("nop" : : : "memory"); /* another call, not the same one */
	} else {
		lower(room, leaves);
	}
	STAY();
}
Test(backtrace, the_frame_pointer_counts_where_a_tail_joins)
{
	begin();
	static const struct { size_t room; int leaves; bool other; } calls[] = { { 96, 3, false }, { 16, 1, false }, { 96, 2, true } };
	for (unsigned i = 0; i < 12; i++) {
		upper(calls[i % 3].room, calls[i % 3].leaves, calls[i % 3].other);
		STAY();
	}
	end(16);
}

/* Two libraries, one after the other at one address: the same function at the same offset, frames of different sizes. */
Test(backtrace, another_module_at_an_address_has_its_own_rules)
{
	char path[512];
	begin();
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
	cr_assert_gt(n, 0);
	path[n] = 0;
	char *name = strrchr(path, '/') + 1;
	for (int i = 0; i < 12; i++) {
		strcpy(name, i & 1 ? "libframes_a.so" : "libframes_b.so");
		void *lib = dlopen(path, RTLD_NOW);
		cr_assert_not_null(lib, "%s", dlerror());
		modules_list();
		void (*call_back)(void (*)(void)) = (void (*)(void (*)(void)))(uintptr_t)dlsym(lib, "call_back");
		call_back(look);
		call_back(look);
		dlclose(lib);
		modules_list();
	}
	end(24);
}

Test(backtrace, a_parked_threads_stack_from_its_registers)
{
	begin();
	ucontext_t c;
	uintptr_t pcs[MOST], same_pcs[MOST];
	getcontext(&c);
	struct backtrace_registers r = { .pc = 0 };
#ifdef __x86_64__
	r.pc = (uintptr_t)c.uc_mcontext.gregs[REG_RIP];
	r.sp = (uintptr_t)c.uc_mcontext.gregs[REG_RSP];
	r.fp = (uintptr_t)c.uc_mcontext.gregs[REG_RBP];
	r.saved[3] = (uintptr_t)c.uc_mcontext.gregs[REG_RBX];
	r.saved[6] = r.fp;
	for (int i = 12; i < 16; i++)
		r.saved[i] = (uintptr_t)c.uc_mcontext.gregs[REG_R12 + i - 12];
#else
	r.pc = c.uc_mcontext.pc;
	r.sp = c.uc_mcontext.sp;
	r.fp = c.uc_mcontext.regs[29];
	for (int i = 19; i <= 30; i++)
		r.saved[i] = c.uc_mcontext.regs[i];
#endif
	cr_assert_neq(self.stack_high, 0u);
	size_t n = backtrace_from(&r, self.stack_low, self.stack_high, pcs, MOST);
	look();
	cr_assert_eq(n, plain.count, "%zu frames, %zu by look", n, plain.count);
	cr_assert_eq(memcmp(pcs + 1, plain.pcs + 1, (n - 1) * sizeof *pcs), 0);
	cr_assert_eq(backtrace_from(&r, r.sp, r.sp, same_pcs, MOST), 1u, "no stack to read: only the frame itself");
}

static unsigned ranges;
static uintptr_t own_low;
static void range(uintptr_t low, uintptr_t high)
{
	cr_assert_lt(low, high);
	ranges++;
	own_low = low;
}
Test(backtrace, its_memory_is_no_root_and_a_child_takes_over)
{
	begin();
	look();
	backtrace_own_ranges(range);
	cr_assert_geq(ranges, 2u);
	pid_t child = fork();
	if (!child) {
		backtrace_forked();
		for (int i = 0; i < 10; i++)
			look();
		_exit(wrong_plain || wrong_libgcc);
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}
