/*
 * step [SECONDS_A_REGION [PER_PC [REGION]]]: stops a thread at every instruction of malloc and free, and collects there.
 *
 * Two processes. The stepped one runs under the allocator under test; for each region (first allocation, refill, ...) a
 * thread of it lets itself be traced (PTRACE_TRACEME works a thread at a time) and brackets the region's calls with int3. The
 * tracer single-steps between the brackets, and at an instruction boundary that has not met enough requests yet:
 *
 *   1. request: it wakes the helper, an untraced thread of the stepped process, which calls cgc_collect();
 *   2. hold: the stepped thread stays where it is until the stop signal is queued to it (PTRACE_PEEKSIGINFO shows it);
 *   3. deliver: the thread takes the signal and runs by PTRACE_SYSCALL, so that the tracer sees the handler's system calls
 *      (only a handler that finds a stop in flight asks for its TID; only one that answers touches a futex);
 *      the exit of rt_sigreturn leaves it at the very instruction where it was;
 *   4. `stopped`: it parked. It is held again until the helper is done, which uses the heap itself before: a thread that
 *      parked inside a slow path would hold a lock of it, and the test fails (law 3);
 *      `deferred`: inside a slow path the right answer is to go on, and to park at its end. While the stop waits, the
 *      boundaries that follow get the same signal again (the tracer injects it), WINDOW_US long, well within the collector's
 *      patience; then the thread is held until the collector, which gave up, tries again. So aborted cycles belong to this.
 *   A boundary where the thread blocks all signals (inside a cycle of its own, or in its park) is `masked`: a request waits there.
 *
 * Regions are repeated until every boundary seen was requested PER_PC times or time is up. After each round the stepped
 * thread allocates some more and checks that all its blocks carry their patterns; a block that was recycled is filled
 * (stress=N) or given away again, so it would not.
 *
 * One line a region: `NAME rounds N steps N boundaries N stopped N deferred N masked N missed N rare N requests N`. Stopped,
 * deferred, masked, missed and rare sum up to the boundaries, each by its first answer; missed had none, and so had rare, which
 * were met in one or two rounds only (a purge that was due). Exit 1: a pattern is broken.
 */
#include <errno.h>
#include <linux/futex.h>
#include <malloc.h>
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
	uint32_t only;          /* the one region that is wanted, or REGIONS */
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
		void *volatile large = malloc(150 << 10), *volatile fresh[30]; /* takes the locks of the heap */
		free(large);
		for (int i = 0; i < 30; i++)
			fresh[i] = malloc(9000);
		for (int i = 0; i < 30; i++)
			free(fresh[i]);
		__atomic_store_n(&shared->done, want, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Off for the first rounds of a thread: what only they do (a class's first span) would be stepped through once and never again. */
static bool bracketed;
#define BRACKET()                                                  \
	do {                                                       \
		if (bracketed)                                     \
			__asm__ volatile("int3" ::: "memory");     \
	} while (0)

/* The first MARKED bytes carry the pattern: filling more would only add steps. Less the first two words, which stay as malloc
 * left them: a slot on two lists then ends one of them, and the harm shows in a pattern before anything crashes. */
static inline void *dressed(void *p, size_t size, uint64_t id)
{
	if (!p)
		exit(2);
	kit_fill(p, 2, size < MARKED ? size : MARKED, id);
	return p;
}
static void check(void *p, size_t size, uint64_t id)
{
	if (!kit_intact(p, 2, size < MARKED ? size : MARKED, id))
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
		if (size > 16)
			memset((char *)noise[i] + 16, 0x33, (size < 512 ? size : 512) - 16);
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
	enum { BIG = 400 << 10 };
	char *big = dressed(malloc(BIG), BIG, 9), *small = dressed(malloc(100), 96, 10);
	BRACKET();
	big = realloc(big, BIG / 4);     /* gives pages back, and takes most of them again: never a copy, which would be */
	big = realloc(big, BIG / 4 * 3); /* stepped through byte by byte */
	big = realloc(big, BIG / 2);
	small = realloc(small, 104);
	small = realloc(small, 90);
	BRACKET();
	if (!big || !small)
		exit(2);
	disturb(100);
	check(big, BIG / 2, 9);
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
	static unsigned threads; /* a class of its own each, without a stand-in, so that each makes a span */
	bool once = region == FIRST || region == ADOPTION;
	for (unsigned round = 0; round == 0 || (!enough() && !once && (region != REMOTE || round < HELD / 2)); round++) {
		bracketed = once || round >= 3;
		switch ((enum region)region) {
		case FIRST: allocate(1, 1100 + 1792 * (threads++ % 32)); break;
		case REFILL:
			allocate(45, 3000);
			malloc_trim(0); /* so that the next round makes a span again */
			break;
		case REFILL_BATCH: allocate(70, 112); break; /* more than the 64 of a batch */
		case FAST: fast_path(); break;
		case REMOTE: remote_free(round); break;
		case ADOPTION: allocate(12, 176); break;
		case LARGE: large_block(); break;
		default: realloc_in_place();
		}
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
		if (shared->only < REGIONS && region != shared->only)
			continue;
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

enum { PCS = 1 << 15, QUIET_ROUNDS = 5, RARE = 3, HOLD_US = 40000, PARKED_US = 3000000, WINDOW_US = 8000 };
enum answer { NONE, STOPPED, DEFERRED, MASKED };
static struct place { uintptr_t pc; unsigned requests, rounds, last; } seen[PCS]; /* rounds: in how many it was met */
static struct tally { unsigned rounds, boundaries, first[MASKED + 1], requests; uint64_t steps; } tally;
static unsigned per_pc = 2, quiet_rounds;
static double region_seconds = 5;
static bool in_flight, fresh_pc, just_stopped; /* a request is not over; this round saw a boundary that wants more; at the last one */
static bool entangled;            /* the verdict waits for a lock that the stepped thread holds: it must run on */
static double window_end;         /* until then the stop in flight surely waits for the stepped thread */
static siginfo_t stop_signal;     /* as the collector last sent it */

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
#define REGISTER(tid, name) user_word(tid, offsetof(struct user_regs_struct, name))

static bool signal_pending(pid_t tid)
{
	siginfo_t info;
	struct __ptrace_peeksiginfo_args args = { .nr = 1 };
	return ptrace(PTRACE_PEEKSIGINFO, tid, &args, &info) > 0;
}

/* Signal 33 is blocked by the collector's own raw call only. */
static bool signals_masked(pid_t tid)
{
	uint64_t mask = 0;
	return !ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof mask, &mask) && mask >> (33 - 1) & 1;
}

/* The thread is about to take `signal`. Runs its handler through, and tells what it answered. */
static enum answer run_handler(pid_t tid, int signal, int *status)
{
	enum answer answer = NONE;
	bool entering = true;
	long pc = REGISTER(tid, rip);
	for (int how = signal;; how = 0) {
		if (resume(tid, PTRACE_SYSCALL, how, status) < 0 || !WIFSTOPPED(*status))
			return answer;
		if (WSTOPSIG(*status) != (SIGTRAP | 0x80))
			kit_fail("step: signal %d inside the stop handler at %lx", WSTOPSIG(*status), REGISTER(tid, rip));
		long number = REGISTER(tid, orig_rax);
		if (entering && number == SYS_gettid)
			answer = DEFERRED;
		if (entering && number == SYS_futex)
			answer = STOPPED;
		if (entering && number == SYS_rt_sigreturn) {
			resume(tid, PTRACE_SYSCALL, 0, status);
			long back = REGISTER(tid, rip);
			if (back != pc)
				kit_fail("step: the handler returned to %lx instead of %lx", back, pc);
			return answer;
		}
		entering = !entering;
	}
}

/* The thread stands in the delivery stop of the collector's signal. */
static enum answer deliver(pid_t tid, int *status)
{
	ptrace(PTRACE_GETSIGINFO, tid, NULL, &stop_signal);
	enum answer answer = run_handler(tid, WSTOPSIG(*status), status);
	window_end = answer == DEFERRED ? now() + WINDOW_US / 1e6 : 0;
	return answer;
}

/* Keeps the thread where it is until the request is over or it was deferred. */
static enum answer hold(pid_t tid, int *status)
{
	double patience = now() + HOLD_US / 1e6;
	enum answer answer = NONE;
	while (!over()) {
		if (signal_pending(tid)) {
			/* pending signals are taken before any instruction runs */
			if (resume(tid, PTRACE_SINGLESTEP, 0, status) < 0 || !WIFSTOPPED(*status) || WSTOPSIG(*status) == SIGTRAP)
				return answer; /* it was not for this thread after all */
			enum answer got = deliver(tid, status);
			if (!WIFSTOPPED(*status))
				return got;
			if (got == DEFERRED)
				return got;
			answer = got ? got : answer;
			patience = now() + (got ? PARKED_US : HOLD_US) / 1e6;
		} else if (now() > patience) {
			if (answer == STOPPED)
				kit_fail("step: %s: parked at %lx, and neither the cycle nor the heap goes on: inside a slow path",
				         names[shared->region], REGISTER(tid, rip));
			return answer; /* entangled */
		}
		sched_yield();
	}
	return answer;
}

static struct place *place_of(uintptr_t pc)
{
	size_t i = (pc * 0x9E3779B97F4A7C15ULL) >> 49;
	while (seen[i].pc && seen[i].pc != pc)
		i = (i + 1) % PCS;
	if (!seen[i].pc) {
		seen[i].pc = pc;
		if (++tally.boundaries > PCS / 2)
			kit_fail("step: too many program counters");
	}
	return &seen[i];
}

static enum answer ask(pid_t tid, int *status)
{
	enum answer answer = NONE;
	if (signals_masked(tid))
		return MASKED;
	if (in_flight && !over()) {
		if (now() < window_end && WSTOPSIG(*status) == SIGTRAP) {
			ptrace(PTRACE_SETSIGINFO, tid, NULL, &stop_signal);
			answer = run_handler(tid, stop_signal.si_signo, status);
			if (answer == DEFERRED)
				return answer;
		}
		enum answer later = WIFSTOPPED(*status) && !entangled ? hold(tid, status) : NONE;
		answer = answer ? answer : later;
		entangled = !answer && !over();
	}
	if (answer || !WIFSTOPPED(*status) || !over())
		return answer;
	in_flight = true;
	tally.requests++;
	__atomic_add_fetch(&shared->request, 1, __ATOMIC_RELEASE);
	futex(&shared->request, FUTEX_WAKE, 1);
	return hold(tid, status);
}

/* The thread stands at a boundary. */
static void visit(pid_t tid, int *status)
{
	struct place *place = place_of((uintptr_t)REGISTER(tid, rip));
	if (in_flight && over()) {
		in_flight = entangled = false;
		window_end = 0;
	}
	if (place->last != tally.rounds + 1) {
		place->last = tally.rounds + 1;
		place->rounds++;
	}
	if (place->requests >= per_pc)
		return;
	fresh_pc = true;
	bool row = just_stopped;
	just_stopped = false;
	if (row && place->requests) /* two stops in a row could undo each other's harm: after the first time, each stands alone */
		return;
	enum answer answer = ask(tid, status);
	just_stopped = answer == STOPPED;
	if (answer && ++place->requests == 1)
		tally.first[answer]++;
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
			deliver(tid, &status);
			if (!WIFSTOPPED(status))
				return false;
			continue;
		}
		siginfo_t info;
		if (!ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) && info.si_code == SI_KERNEL)
			return true;
		tally.steps++;
		visit(tid, &status);
		if (!WIFSTOPPED(status))
			return false;
	}
}

/* Boundaries without a request that were met in at least `rounds` rounds. */
static unsigned missed(unsigned rounds)
{
	unsigned n = 0;
	for (unsigned i = 0; i < PCS; i++)
		n += seen[i].pc && !seen[i].requests && seen[i].rounds >= rounds;
	return n;
}

static void print_region(unsigned region)
{
	unsigned regular = missed(RARE);
	printf("%s rounds %u steps %llu boundaries %u stopped %u deferred %u masked %u missed %u rare %u requests %u\n", names[region],
	       tally.rounds, (unsigned long long)tally.steps, tally.boundaries, tally.first[STOPPED], tally.first[DEFERRED],
	       tally.first[MASKED], regular, missed(1) - regular, tally.requests);
	for (unsigned i = 0; i < PCS && getenv("STEP_MISSED"); i++)
		if (seen[i].pc && !seen[i].requests)
			printf("  missed %lx met in %u rounds\n", (unsigned long)seen[i].pc, seen[i].rounds);
	fflush(stdout);
}

static int trace(pid_t child)
{
	double start = now();
	unsigned region = 0;
	cpu_set_t here; /* on one processor with its tracer, a step takes a third of the time */
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	sched_setaffinity(0, sizeof here, &here);
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
		sched_setaffinity(tid, sizeof here, &here);
		if (tally.rounds == 0)
			start = now();
		region = shared->region;
		if (!step_region(tid))
			continue;
		tally.rounds++;
		quiet_rounds = fresh_pc ? 0 : quiet_rounds + 1;
		if (!shared->enough && ((quiet_rounds >= QUIET_ROUNDS && !missed(1)) || now() - start > region_seconds)) {
			print_region(region);
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
	shared->only = REGIONS;
	for (unsigned i = 0; argc > 3 && i < REGIONS; i++)
		if (!strcmp(argv[3], names[i]))
			shared->only = i;
	setenv("LD_BIND_NOW", "1", 1); /* the loader's symbol lookup is not what is to be stepped through */
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
