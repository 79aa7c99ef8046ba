/*
 * step [SECONDS_A_REGION [PER_PC]]: stops a thread at every instruction of malloc and free, and collects there.
 *
 * Two processes. The stepped one runs under the allocator under test; for each region (first allocation, refill, ...) a
 * thread of it lets itself be traced (PTRACE_TRACEME works a thread at a time) and brackets the region's calls with int3. The
 * tracer single-steps between the brackets, and at a program counter where not enough cycles have run yet:
 *
 *   1. request: it wakes the helper, an untraced thread of the stepped process, which calls cgc_collect();
 *   2. hold: the stepped thread stays where it is until the stop signal is queued to it (PTRACE_PEEKSIGINFO shows it);
 *   3. deliver: the thread takes the signal and runs by PTRACE_SYSCALL, so that the tracer sees the handler's system calls;
 *      the exit of rt_sigreturn leaves it at the very instruction where it was. A futex wait means that it parked;
 *   4. hold again until the helper is done (or the next cycle's signal comes). When that takes longer than it can and the
 *      thread did not park, it is inside a slow path (law 3) and the request is `deferred`: stepping goes on, and the
 *      thread parks at the end of the slow path by itself. No new request is made before this one is over.
 *
 * A deferred request uses up the rest of the slow path, so regions are repeated until every program counter seen had its
 * cycles (PER_PC each) or time is up. After each round the stepped thread allocates some more and checks that all its blocks
 * carry their patterns; a block that was recycled is filled (stress=N) or given away again, so it would not.
 *
 * One line a region: `NAME rounds N steps N pcs N covered N cycles N deferred N blocked N`; exit 1: a pattern is broken.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "kit.h"

#if !defined(__x86_64__)
int main(void)
{
	puts("step: needs x86-64");
	return 77;
}
#else

enum region { FIRST, REFILL, REFILL_BATCH, FAST, REMOTE, ADOPTION, LARGE, REALLOC, REGIONS };
static const char *const names[REGIONS] = { "first_allocation", "refill", "refill_batch", "fast_path", "remote_free", "adoption",
	                                    "large_block", "realloc_in_place" };

struct shared {
	uint32_t request, done; /* tracer counts up, helper follows; both futex words */
	uint32_t region;        /* which one the stepped thread is in */
	uint32_t enough;        /* tracer: no more rounds of this region */
	uint32_t round_steps;
};
static struct shared *shared;

static long futex(uint32_t *word, int op, uint32_t value)
{
	struct timespec limit = { 0, 50000000 };
	return syscall(SYS_futex, word, op, value, op == FUTEX_WAIT ? &limit : NULL, NULL, 0);
}

/* ---- the stepped process ---- */

enum { ANCHORS = 100, HELD = 80, MARKED = 64 };
struct anchor {
	struct anchor *next;
	uint64_t pattern[7];
};
static void *remote[HELD];   /* made by the main thread, freed by the stepped one */
static void *orphans[HELD];  /* live blocks of a thread that has ended */
static bool stop_helper;     /* atomic */

static void *help(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop_helper, __ATOMIC_ACQUIRE)) {
		uint32_t want = __atomic_load_n(&shared->request, __ATOMIC_ACQUIRE);
		if (want == shared->done) {
			futex(&shared->request, FUTEX_WAIT, want);
			continue;
		}
		kit_collect(1);
		__atomic_store_n(&shared->done, want, __ATOMIC_RELEASE);
	}
	return NULL;
}

#define BRACKET() __asm__ volatile("int3" ::: "memory")

/* The first MARKED bytes carry the pattern: filling more would only add steps. */
static inline void *dressed(void *p, size_t size, uint64_t id)
{
	if (!p)
		exit(2);
	kit_fill(p, 0, size < MARKED ? size : MARKED, id);
	return p;
}
static void check(void *p, size_t size, uint64_t id)
{
	if (!kit_intact(p, 0, size < MARKED ? size : MARKED, id))
		kit_fail("step: %s: block %p of %zu bytes (%llu) was recycled while the thread held it", names[shared->region], p, size,
		         (unsigned long long)id);
}

/* Allocates and frees blocks like those of the region, so that a slot that is wrongly free is given away and overwritten. */
static void disturb(size_t size)
{
	void *noise[60];
	for (int i = 0; i < 60; i++) {
		noise[i] = malloc(size);
		if (!noise[i])
			exit(2);
		memset(noise[i], 0x33, size < 512 ? size : 512);
	}
	for (int i = 0; i < 60; i++)
		free(noise[i]);
}

/* n blocks of `size`, stepped through; then checked. */
static __attribute__((noinline)) void allocate(unsigned n, size_t size)
{
	void *p[HELD];
	BRACKET();
	for (unsigned i = 0; i < n; i++)
		p[i] = dressed(malloc(size), size, i);
	BRACKET();
	disturb(size);
	for (unsigned i = 0; i < n; i++) {
		check(p[i], size, i);
		free(p[i]);
	}
}

static __attribute__((noinline)) void fast_path(void)
{
	void *warm = malloc(64), *p, *q;
	free(warm);
	BRACKET();
	p = dressed(malloc(64), 64, 1);
	q = dressed(calloc(1, 64), 64, 2);
	free(p);
	p = dressed(malloc(64), 64, 3);
	BRACKET();
	disturb(64);
	check(p, 64, 3);
	check(q, 64, 2);
	free(p);
	free(q);
}

static __attribute__((noinline)) void remote_free(unsigned round)
{
	unsigned i = round * 2 % HELD;
	void *mine = dressed(malloc(80), 80, 5);
	check(remote[i], 80, i);
	check(remote[i + 1], 80, i + 1);
	BRACKET();
	free(remote[i]);
	free(remote[i + 1]);
	BRACKET();
	remote[i] = remote[i + 1] = NULL;
	disturb(80);
	check(mine, 80, 5);
	free(mine);
}

static __attribute__((noinline)) void large_block(void)
{
	enum { SIZE = 200 << 10 };
	BRACKET();
	void *p = dressed(malloc(SIZE), SIZE, 6);
	void *q = dressed(malloc(SIZE + 70000), SIZE, 7);
	free(p);
	p = dressed(malloc(SIZE), SIZE, 8);
	BRACKET();
	check(p, SIZE, 8);
	check(q, SIZE, 7);
	free(p);
	free(q);
}

static __attribute__((noinline)) void realloc_in_place(void)
{
	enum { BIG = 300 << 10 };
	char *big = dressed(malloc(BIG), BIG, 9), *small = dressed(malloc(100), 96, 10);
	BRACKET();
	big = realloc(big, BIG + 40000);
	big = realloc(big, BIG - 60000);
	small = realloc(small, 104);
	small = realloc(small, 90);
	BRACKET();
	if (!big || !small)
		exit(2);
	disturb(100);
	check(big, BIG, 9);
	check(small, 88, 10);
	free(big);
	free(small);
}

static void *leave_orphans(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < HELD; i++)
		orphans[i] = dressed(malloc(176), 176, i);
	for (unsigned i = 0; i < HELD; i += 2) {
		free(orphans[i]);
		orphans[i] = NULL;
	}
	return NULL;
}

static __attribute__((noinline)) struct anchor *anchors(void)
{
	struct anchor *head = NULL;
	for (uint64_t i = 0; i < ANCHORS; i++) {
		struct anchor *a = malloc(sizeof *a);
		if (!a)
			exit(2);
		kit_fill(a, 1, sizeof *a, i);
		a->next = head;
		head = a;
	}
	return head;
}

static bool enough(void) { return __atomic_load_n(&shared->enough, __ATOMIC_ACQUIRE); }

/* One thread of the stepped process: many rounds, or one where only a fresh thread will do. */
static void *stepped(void *arg)
{
	(void)arg;
	unsigned region = shared->region;
	struct anchor *head = region == FIRST ? NULL : anchors();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		kit_fail("step: PTRACE_TRACEME: %s", strerror(errno));
	for (unsigned round = 0; round == 0 || (!enough() && region != FIRST && region != ADOPTION && (region != REMOTE || round < HELD / 2)); round++)
		switch ((enum region)region) {
		case FIRST: allocate(1, 64); break;
		case REFILL: allocate(3, 3000); break;
		case REFILL_BATCH: allocate(70, 48); break;
		case FAST: fast_path(); break;
		case REMOTE: remote_free(round); break;
		case ADOPTION: allocate(12, 176); break;
		case LARGE: large_block(); break;
		default: realloc_in_place();
		}
	for (uint64_t i = ANCHORS; head; head = head->next)
		if (!kit_intact(head, 1, sizeof *head, --i))
			kit_fail("step: %s: live block %p was recycled", names[region], (void *)head);
	return NULL;
}

static void in_thread(void *(*body)(void *))
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		exit(2);
	pthread_join(t, NULL);
}

static int stepped_process(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_t helper;
	if (pthread_create(&helper, NULL, help, NULL))
		return 2;
	for (unsigned region = 0; region < REGIONS; region++) {
		shared->region = region;
		__atomic_store_n(&shared->enough, 0, __ATOMIC_RELEASE);
		while (!enough()) {
			for (unsigned i = 0; region == REMOTE && i < HELD; i++)
				if (!remote[i])
					remote[i] = dressed(malloc(80), 80, i);
			if (region == ADOPTION)
				in_thread(leave_orphans);
			in_thread(stepped);
			for (unsigned i = 1; region == ADOPTION && i < HELD; i += 2) {
				check(orphans[i], 176, i);
				free(orphans[i]);
			}
		}
	}
	__atomic_store_n(&stop_helper, true, __ATOMIC_RELEASE);
	pthread_join(helper, NULL);
	return 0;
}

/* ---- the tracer ---- */

enum { PCS = 1 << 15, QUIET_ROUNDS = 3, HOLD_US = 20000, UNPARKED_US = 1500 };
static struct { uintptr_t pc; unsigned cycles; } seen[PCS];
static struct tally { unsigned rounds, pcs, covered, cycles, deferred, blocked; uint64_t steps; } tally;
static unsigned per_pc = 2, quiet_rounds;
static double region_seconds = 5;
static bool in_flight, fresh_pc; /* a request is not over; this round saw a pc that still wants cycles */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool over(void)
{
	return __atomic_load_n(&shared->done, __ATOMIC_ACQUIRE) == shared->request;
}

static long resume(pid_t tid, int how, int signal, int *status)
{
	if (ptrace(how, tid, NULL, (void *)(intptr_t)signal))
		return -1;
	return waitpid(tid, status, __WALL);
}

static long user_word(pid_t tid, size_t at) { return ptrace(PTRACE_PEEKUSER, tid, (void *)at, NULL); }

static bool signal_pending(pid_t tid)
{
	siginfo_t info;
	struct __ptrace_peeksiginfo_args args = { .nr = 1 };
	return ptrace(PTRACE_PEEKSIGINFO, tid, &args, &info) > 0;
}

/* The thread stands in the delivery stop of `signal`. Runs its handler through. true: it parked. */
static bool run_handler(pid_t tid, int signal, int *status)
{
	bool parked = false, entering = true;
	long pc = user_word(tid, offsetof(struct user_regs_struct, rip));
	for (int how = signal;; how = 0) {
		if (resume(tid, PTRACE_SYSCALL, how, status) < 0 || !WIFSTOPPED(*status))
			return parked;
		if (WSTOPSIG(*status) != (SIGTRAP | 0x80))
			kit_fail("step: signal %d inside the stop handler at %lx", WSTOPSIG(*status), user_word(tid, offsetof(struct user_regs_struct, rip)));
		long number = user_word(tid, offsetof(struct user_regs_struct, orig_rax));
		long op = user_word(tid, offsetof(struct user_regs_struct, rsi)) & FUTEX_CMD_MASK;
		if (entering && number == SYS_futex && (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET))
			parked = true;
		if (entering && number == SYS_rt_sigreturn) {
			resume(tid, PTRACE_SYSCALL, 0, status);
			long back = user_word(tid, offsetof(struct user_regs_struct, rip));
			if (back != pc)
				kit_fail("step: the handler returned to %lx instead of %lx", back, pc);
			return parked;
		}
		entering = !entering;
	}
}

/* Keeps the stopped thread where it is until the request is over, or shows itself deferred or blocked. */
static void hold(pid_t tid, int *status)
{
	double patience = now() + HOLD_US / 1e6;
	bool unparked = false; /* the handler returned at once: a slow path, or a stop that was over before it could sleep */
	while (!over()) {
		if (signal_pending(tid)) {
			/* pending signals are taken before any instruction runs */
			if (resume(tid, PTRACE_SINGLESTEP, 0, status) < 0 || !WIFSTOPPED(*status))
				return;
			if (WSTOPSIG(*status) == SIGTRAP)
				return; /* it was not for this thread after all */
			unparked = !run_handler(tid, WSTOPSIG(*status), status);
			patience = now() + (unparked ? UNPARKED_US / 1e6 : 1);
		} else if (now() > patience) {
			if (unparked)
				tally.deferred++;
			else
				tally.blocked++; /* the collector waits for a lock that this thread holds: it must run on */
			return;
		}
		sched_yield();
	}
}

static bool wants_cycle(uintptr_t pc)
{
	size_t i = (pc * 0x9E3779B97F4A7C15ULL) >> 49;
	while (seen[i].pc && seen[i].pc != pc)
		i = (i + 1) % PCS;
	if (!seen[i].pc) {
		seen[i].pc = pc;
		if (++tally.pcs > PCS / 2)
			kit_fail("step: too many program counters");
	}
	if (seen[i].cycles >= per_pc)
		return false;
	fresh_pc = true;
	if (in_flight)
		return false;
	tally.covered += ++seen[i].cycles == 1;
	return true;
}

/* From the first bracket to the second. false: the thread is gone. */
static bool step_region(pid_t tid)
{
	int status;
	fresh_pc = false;
	for (;;) {
		if (resume(tid, PTRACE_SINGLESTEP, 0, &status) < 0 || !WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) != SIGTRAP) {
			if (!run_handler(tid, WSTOPSIG(status), &status))
				tally.deferred++;
			continue;
		}
		siginfo_t info;
		uintptr_t pc = (uintptr_t)user_word(tid, offsetof(struct user_regs_struct, rip));
		if (!ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) && info.si_code == SI_KERNEL)
			return true;
		tally.steps++;
		if (in_flight && over())
			in_flight = false;
		if (wants_cycle(pc)) {
			in_flight = true;
			tally.cycles++;
			__atomic_add_fetch(&shared->request, 1, __ATOMIC_RELEASE);
			futex(&shared->request, FUTEX_WAKE, 1);
			hold(tid, &status);
			if (!WIFSTOPPED(status))
				return false;
		}
	}
}

static int trace(pid_t child)
{
	double start = now();
	unsigned region = 0;
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0)
			kit_fail("step: waitpid: %s", strerror(errno));
		if (tid == child && (WIFEXITED(status) || WIFSIGNALED(status)))
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (!WIFSTOPPED(status))
			continue;
		int signal = WSTOPSIG(status);
		if (signal != SIGTRAP) { /* between regions: whatever comes is the program's own affair */
			ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)signal);
			continue;
		}
		ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)(intptr_t)PTRACE_O_TRACESYSGOOD);
		if (tally.rounds == 0)
			start = now();
		region = shared->region;
		if (!step_region(tid))
			continue;
		tally.rounds++;
		quiet_rounds = fresh_pc ? 0 : quiet_rounds + 1;
		if (!shared->enough && (quiet_rounds >= QUIET_ROUNDS || now() - start > region_seconds)) {
			printf("%s rounds %u steps %llu pcs %u covered %u cycles %u deferred %u blocked %u\n", names[region], tally.rounds,
			       (unsigned long long)tally.steps, tally.pcs, tally.covered, tally.cycles, tally.deferred, tally.blocked);
			fflush(stdout);
			memset(seen, 0, sizeof seen);
			memset(&tally, 0, sizeof tally);
			quiet_rounds = 0;
			__atomic_store_n(&shared->enough, 1, __ATOMIC_RELEASE);
		}
		ptrace(PTRACE_CONT, tid, NULL, NULL);
	}
}

int main(int argc, char **argv)
{
	bool stepped_side = argc > 2 && !strcmp(argv[1], "stepped");
	int fd = stepped_side ? atoi(argv[2]) : memfd_create("step", 0);
	if (fd < 0 || (!stepped_side && ftruncate(fd, 4096)))
		return 2;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return 2;
	if (stepped_side)
		return stepped_process();
	if (argc > 1)
		region_seconds = atof(argv[1]);
	if (argc > 2)
		per_pc = (unsigned)atoi(argv[2]);
	alarm((unsigned)(region_seconds * REGIONS) + 60);
	char number[16];
	snprintf(number, sizeof number, "%d", fd);
	pid_t child = fork();
	if (child == 0) {
		execl("/proc/self/exe", argv[0], "stepped", number, (char *)NULL);
		_exit(2);
	}
	int result = child > 0 ? trace(child) : 2;
	printf("stepped process ended with %d\n", result);
	return result;
}
#endif
