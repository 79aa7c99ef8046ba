/*
 * exec and a stop exclude each other, because a signal 33 that is queued to a thread inside execve kills the new image, which has no handler.
 * Either side first says that it is there and then looks for the other (seq_cst both), so that at least one sees the other: the stop
 * gives up, the exec waits for the epoch to change.
 *
 * A handler of the program may leave a failing exec by longjmp or pthread_exit, so nobody takes its row back. Hence a row says whose it is and
 * where the caller's frame lies, in which words stand that are their own addresses in disguise; a stop that finds a row asks for evidence that
 * it is over:
 *
 *     the thread is gone
 *     some of the words are: other calls have used that part of the stack since
 *     the thread is the collecting one, or sleeps in a system call (/proc/self/task/N/syscall), with its stack pointer above them, on that stack
 *
 * Anything else counts as inside exec, and will be asked again.
 *
 *     who    tid (32) | version (31) | known (1): frame and high are there. 0: free
 */
#include "heap/self.h"
#include "os/os.h"
#include "threads/room.h"
#include "base/text.h"

enum { EXECS = 16 };

static STEADY struct exec {
	uint64_t who;          /* atomic: taken by its thread, freed by it or by whoever has evidence */
	uintptr_t frame, high; /* atomic: of the caller, and its stack's end. frame 0: no evidence but the thread's end */
} execs[EXECS];
static uint32_t versions;      /* atomic */

static uint32_t tid_of(uint64_t who) { return (uint32_t)(who >> 32); }

/* The stack has been unwound past the caller's frame. */
static bool above(const struct exec *x, uintptr_t sp)
{
	uintptr_t frame = load_relaxed(&x->frame);
	return frame && sp > frame && sp < load_relaxed(&x->high);
}

static uintptr_t disguised(const volatile uintptr_t *at) { return (uintptr_t)at ^ 0x5bd1e995c0ffee11u; }

static bool worn(const struct exec *x)
{
	uintptr_t words[NELEM(((struct exec_frame *)0)->words)];
	const struct exec_frame *f = (const struct exec_frame *)load_relaxed(&x->frame);
	if (!f || os_read_self(words, (uintptr_t)f, sizeof words) != (long)sizeof words)
		return false; /* a thread that is gone */
	for (unsigned i = 0; i < NELEM(words); i++)
		if (words[i] != disguised(&f->words[i]))
			return true;
	return false;
}

/* -- evidence -- */

/* "35 0x7ffe.. (six) 0x7ffe5ca1ab30 0x7f12..": the stack pointer is the last but one. "running ": 0, not known. */
static uintptr_t sleeping_sp(uint32_t tid)
{
	char text[256];
	text_format(text, sizeof text, "task/%u/syscall", tid);
	int fd = os_open_proc(text);
	long n = fd < 0 ? -1 : os_read(fd, text, sizeof text - 1);
	if (fd >= 0)
		os_close(fd);
	if (n <= 0 || text[0] == 'r')
		return 0;
	uintptr_t word = 0, before = 0;
	for (long i = 0; i < n && text[i] != '\n'; i++) {
		const char c = text[i];
		if (c == ' ') {
			before = word;
			word = 0;
		} else if (c != 'x' && c != '-')
			word = word << 4 | (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return before;
}

static bool over(struct exec *x, uint64_t who, uintptr_t sp)
{
	const uint32_t tid = tid_of(who);
	struct task_signs signs;
	if (!(who & 1))
		return false;
	bool yes;
	if (tid == (uint32_t)os_tid())
		yes = worn(x) || above(x, sp);
	else {
		enum task_state state = task_classify(tid, &signs);
		yes = state == TASK_GONE || state == TASK_SKIPPED || worn(x) || above(x, sleeping_sp(tid));
	}
	return yes && cas(&x->who, &who, 0);
}

/* -- the side of exec -- */

/* With signals blocked: a handler finds a row taken as a whole, or not at all. */
static void take(struct exec_frame *given)
{
	const uintptr_t frame = (uintptr_t)given;
	const uint64_t tid = (uint32_t)os_tid();
	uint64_t mask;
	threads_block_signals(&mask);
	bool taken = false;
	for (unsigned i = 0; given && i < NELEM(given->words); i++)
		given->words[i] = disguised(&given->words[i]);
	for (unsigned i = 0; i < EXECS; i++) /* what it left before */
		if (tid_of(load_relaxed(&execs[i].who)) == tid && frame && (load_relaxed(&execs[i].frame) == frame || above(&execs[i], frame)))
			store_release(&execs[i].who, 0);
	for (unsigned i = 0; i < 2 * EXECS && !taken; i++) {
		struct exec *x = &execs[i % EXECS];
		uint64_t there = load_relaxed(&x->who);
		if (there && (i < EXECS || !over(x, there, frame))) /* the second time round: rows that nobody gave back */
			continue;
		uint64_t none = 0, who = tid << 32 | (uint64_t)(__atomic_add_fetch(&versions, 1, __ATOMIC_RELAXED) & INT32_MAX) << 1; /* fits: 31 bits and one */
		taken = __atomic_compare_exchange_n(&x->who, &none, who, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
		if (!taken)
			continue;
		store_relaxed(&x->frame, frame);
		store_relaxed(&x->high, self.stack_high);
		store_release(&x->who, who | 1);
	}
	if (!taken)
		__atomic_fetch_add(&stop.execs, 1, __ATOMIC_SEQ_CST);
	threads_restore_signals(mask);
}

/* The last one of this thread: one may run in a handler on top of another. */
static void give_back(void)
{
	const uint32_t tid = (uint32_t)os_tid();
	struct exec *last = NULL;
	for (unsigned i = 0; i < EXECS; i++) {
		const uint64_t who = load_relaxed(&execs[i].who);
		if (tid_of(who) == tid && (!last || (int32_t)((uint32_t)who - (uint32_t)load_relaxed(&last->who)) > 0))
			last = &execs[i];
	}
	if (last)
		__atomic_store_n(&last->who, 0, __ATOMIC_SEQ_CST);
	else if (load_relaxed(&stop.execs))
		__atomic_fetch_sub(&stop.execs, 1, __ATOMIC_SEQ_CST);
}

void execs_enter(struct exec_frame *frame)
{
	for (;;) {
		take(frame);
		uint32_t e = __atomic_load_n(&stop.epoch, __ATOMIC_SEQ_CST);
		if (!(e & 1))
			return;
		give_back();
		while (load_acquire(&stop.epoch) == e)
			room_wait(&stop.epoch, e, LOOK_AGAIN_NS);
	}
}

void threads_exec_leave(void)
{
	if (os_pid() == stop.pid) /* a vfork child shares our memory and has another PID */
		give_back();
}

/* -- the side of the stop -- */

bool execs_live(uintptr_t sp)
{
	bool live = __atomic_load_n(&stop.execs, __ATOMIC_SEQ_CST) != 0;
	for (unsigned i = 0; i < EXECS; i++) {
		uint64_t who = __atomic_load_n(&execs[i].who, __ATOMIC_SEQ_CST);
		live |= who && !over(&execs[i], who, sp);
	}
	return live;
}

void execs_forked(void)
{
	stop.execs = 0;
	for (unsigned i = 0; i < EXECS; i++)
		execs[i].who = 0;
}
