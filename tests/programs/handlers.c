/*
 * handlers [STRIDE [OUTER [LEAVE]]]: a handler of the program at every instruction of every wrapper that handlers may call themselves.
 *
 * An outer call is made between two int3 in a traced process, which is stepped through once: these are its instructions. For each of them, and
 * each way to leave the handler, a fresh process runs up to there (a breakpoint) and gets SIGUSR1. The handler makes all inner calls, and
 * leaves. Then the process proves that it is well: it makes every call again, its signal mask is what it was, and the block whose only pointer went
 * to the kernel is whole after three collections. A process that is still there after SECONDS hangs: a lock is held.
 *
 *     tracer    breakpoint ──▶ PTRACE_CONT with SIGUSR1 ──▶ waits for the end
 *     traced    int3; outer call  ...  handler: inner calls, then return | siglongjmp | pthread_exit | fork, the child goes on
 *
 * fork is no outer call: glibc (2.36) holds a lock of its own meanwhile, and a fork in a handler on top waits for it for ever, plain too.
 *
 *     handlers any RUNS SEED [OUTER [LEAVE]]
 *
 * the same with the calls of calls.h that are nothing but a system call, at RUNS random instructions of each and for each way, and a handler that also
 * makes three of them, chosen at random. The others hold locks of libc's, for which fork in a handler waits, plain too.
 *
 * One line an outer call and a way: `OUTER LEAVE instructions N runs N`. Every STRIDEth instruction is met. Exit 1: a process hung, died or
 * failed; the line tells where.
 */
#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"

#if !defined(__x86_64__)
int main(void)
{
	puts("handlers: needs x86-64");
	return 77;
}
#else

enum { SECONDS = 20, SIZE = 160, ID = 77, PLACES_MOST = 20000 };

/* ---- the traced process ---- */

static int epoll, events, outer_fd;
static int queued; /* the signal that carries a pointer */
static sigset_t before;
static sigjmp_buf out;

#define BRACKET() __asm__ volatile("int3" ::: "memory")

static void pointer_to_kernel(struct epoll_event *e)
{
	void *p = malloc(SIZE);
	if (!p)
		_exit(2);
	kit_fill(p, 0, SIZE, ID);
	*e = (struct epoll_event){ .events = EPOLLIN, .data.ptr = p };
}

static void to_epoll(void)
{
	struct epoll_event e;
	pointer_to_kernel(&e);
	BRACKET();
	epoll_ctl(epoll, EPOLL_CTL_ADD, outer_fd, &e);
	BRACKET();
}
static void to_epoll_by_number(void)
{
	struct epoll_event e;
	pointer_to_kernel(&e);
	BRACKET();
	syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, outer_fd, &e);
	BRACKET();
}
static void by_signal(void)
{
	struct epoll_event e;
	pointer_to_kernel(&e);
	BRACKET();
	sigqueue(getpid(), queued, (union sigval){ .sival_ptr = e.data.ptr });
	BRACKET();
}
static void by_signal_to_thread(void)
{
	struct epoll_event e;
	pointer_to_kernel(&e);
	BRACKET();
	pthread_sigqueue(pthread_self(), queued, (union sigval){ .sival_ptr = e.data.ptr });
	BRACKET();
}
static void by_timer(void)
{
	timer_t t;
	struct sigevent v = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = queued };
	BRACKET();
	if (timer_create(CLOCK_MONOTONIC, &v, &t) == 0)
		timer_delete(t);
	BRACKET();
}
static void by_notify(void)
{
	char name[64];
	snprintf(name, sizeof name, "/cgc-handlers-%d", getpid());
	mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, &(struct mq_attr){ .mq_maxmsg = 2, .mq_msgsize = 8 });
	struct sigevent v = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = queued };
	mq_unlink(name);
	BRACKET();
	if (q != (mqd_t)-1 && mq_notify(q, &v) == 0)
		mq_close(q);
	BRACKET();
}
static void by_actions(void)
{
	struct sigaction was;
	BRACKET();
	sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = SIG_IGN }, &was);
	sigaction(SIGUSR2, &was, NULL);
	BRACKET();
}
static void by_pipe(void)
{
	int p[2];
	struct epoll_event e;
	pointer_to_kernel(&e);
	if (pipe(p))
		_exit(2);
	BRACKET();
	if (write(p[1], &e.data.ptr, sizeof e.data.ptr) < 0)
		_exit(2);
	if (read(p[0], &e.data.ptr, sizeof e.data.ptr) < 0)
		_exit(2);
	BRACKET();
}
static void *nothing(void *arg) { return arg; }
static void by_thread(void)
{
	pthread_t t;
	BRACKET();
	int r = pthread_create(&t, NULL, nothing, NULL);
	BRACKET();
	if (r == 0)
		pthread_join(t, NULL);
}

static const struct {
	const char *name;
	void (*call)(void);
	bool may_be_left; /* by longjmp or pthread_exit: it is async-signal-safe, or a plain system call */
	bool twice;       /* a child may go on with it as well: it takes nothing that its parent waits for */
} outers[] = {
	{ "epoll_ctl", to_epoll, true, true }, { "syscall_epoll_ctl", to_epoll_by_number, true, true }, { "sigqueue", by_signal, true, true },
	{ "pthread_sigqueue", by_signal_to_thread, true, true }, { "timer_create", by_timer, true, true },
	{ "mq_notify", by_notify, true, true }, { "sigaction", by_actions, true, true }, { "write_read", by_pipe, true, false }, { "pthread_create", by_thread, false, false },
};
enum { OUTERS = sizeof outers / sizeof *outers };

/* All that a handler may call, and what only a system call is. No malloc. */
static void inner_calls(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 5 };
	timer_t t;
	struct sigevent v = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_ptr = &e };
	uint64_t word = (uintptr_t)&e;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, events, &e) == 0)
		epoll_ctl(epoll, EPOLL_CTL_DEL, events, NULL);
	sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_ptr = &e });
	if (timer_create(CLOCK_MONOTONIC, &v, &t) == 0)
		timer_delete(t);
	if (write(events, &(uint64_t){ 1 }, 8) != 8 || read(events, &word, 8) != 8)
		_exit(30);
	pid_t pid = fork();
	if (pid == 0) {
		epoll_ctl(epoll, EPOLL_CTL_ADD, events, &e);
		sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_ptr = &e });
		_exit(fork() ? 0 : 0);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		_exit(31);
}

/* ---- any call of calls.h ---- */

enum { INNER = 3, CHOICES_MOST = 400 };
static bool any_calls;
static uint64_t seed = 1;
static struct call rows[CHOICES_MOST];
static unsigned row_count, safe_rows[CHOICES_MOST], safe_count;

static void add_row(struct call *c)
{
	if (row_count == CHOICES_MOST)
		return;
	if ((c->traits & CALL_SAFE) && safe_count < CHOICES_MOST)
		safe_rows[safe_count++] = row_count;
	rows[row_count++] = *c;
}
static void rows_known(void)
{
	row_count = safe_count = 0;
	calls_each(add_row);
}

static void random_calls(void)
{
	for (int i = 0; i < INNER; i++)
		call_make(&rows[safe_rows[kit_random(&seed) % safe_count]]);
}

enum leave { RETURNS, JUMPS, EXITS, CHILD, LEAVES };
static const char *const leave_names[LEAVES] = { "returns", "jumps", "exits", "child" };
static enum leave leave;

/* A child of the handler passes the second bracket, and nobody traces it. */
static void untraced(int number) { (void)number; }

static void handler(int number)
{
	int saved = errno;
	(void)number;
	signal(SIGTRAP, untraced); /* a breakpoint where it is blocked made the kernel forget it */
	inner_calls();
	if (any_calls)
		random_calls();
	errno = saved;
	if (leave == JUMPS)
		siglongjmp(out, 1);
	if (leave == EXITS)
		pthread_exit(NULL);
	if (leave == CHILD) { /* the child goes on with the call that was interrupted, and ends well; its parent too */
		pid_t pid = fork();
		int status = 0;
		if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
			_exit(WIFEXITED(status) ? 64 + WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	errno = saved;
}

/* What the kernel got must be whole; it may have got nothing, when the call was left. */
static void look_at_kernel(void)
{
	struct epoll_event e;
	siginfo_t info;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, queued);
	kit_scrub();
	kit_collect(3);
	for (int i = 0; i < 200; i++)
		free(memset(malloc(SIZE), 0x33, SIZE));
	if (epoll_wait(epoll, &e, 1, 0) == 1 && !kit_intact(e.data.ptr, 0, SIZE, ID))
		_exit(33);
	while (sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == queued)
		if (info.si_code == SI_QUEUE && info.si_value.sival_ptr && !kit_intact(info.si_value.sival_ptr, 0, SIZE, ID))
			_exit(34);
}

/* In a thread that is still there. Never returns. */
static void prove(void)
{
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	if (memcmp(&now, &before, sizeof(uint64_t)) != 0)
		_exit(35);
	look_at_kernel();
	inner_calls();
	free(malloc(100));
	pthread_t t;
	if (pthread_create(&t, NULL, nothing, NULL) == 0)
		pthread_join(t, NULL);
	_exit(0);
}

static void *prove_after(void *main_thread)
{
	pthread_join(*(pthread_t *)main_thread, NULL);
	prove();
	return NULL;
}

static void traced(const int outer, enum leave way)
{
	struct sigaction act = { .sa_handler = handler };
	pthread_t t, self = pthread_self();
	leave = way;
	if (any_calls) {
		calls_prepare();
		signal(SIGURG, SIG_IGN);
		rows_known();
		raise(SIGUSR2); /* is pending: calls that wait for it end */
	}
	queued = SIGRTMIN + 4;
	sigaction(SIGUSR1, &act, NULL);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTRAP, untraced);
	sigemptyset(&before);
	sigaddset(&before, queued);
	sigprocmask(SIG_BLOCK, &before, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	epoll = epoll_create1(0);
	events = eventfd(0, EFD_NONBLOCK);
	outer_fd = eventfd(1, EFD_NONBLOCK); /* always readable */
	if (epoll < 0 || events < 0 || outer_fd < 0)
		_exit(2);
	pthread_create(&t, NULL, nothing, NULL); /* tables have their first memory */
	pthread_join(t, NULL);
	inner_calls();
	if (leave == EXITS && pthread_create(&t, NULL, prove_after, &self))
		_exit(2);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(3);
	if (sigsetjmp(out, 1) == 0) {
		if (any_calls) {
			BRACKET();
			call_make(&rows[outer]);
			BRACKET();
		} else
			outers[outer].call();
	}
	prove();
}

/* ---- the tracer ---- */

static volatile sig_atomic_t late;
static void on_alarm(int number)
{
	(void)number;
	late = 1;
}

static int wait_for(pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, __WALL) == pid)
		return status;
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	return -1;
}

static bool at_trap(int status) { return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP; }

static void ended(void)
{
	if (any_calls)
		calls_remove_shared();
}

/* Starts one that stands at its first bracket; its status there. */
static pid_t start(int outer, enum leave way, int *status)
{
	fflush(stdout);
	if (any_calls)
		calls_prepare_shared();
	pid_t pid = fork();
	if (pid == 0)
		traced(outer, way);
	late = 0;
	alarm(SECONDS);
	*status = wait_for(pid);
	return pid;
}

static uintptr_t place(pid_t pid) { return (uintptr_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL); }
static unsigned char byte_at(pid_t pid, uintptr_t at) { return (unsigned char)ptrace(PTRACE_PEEKTEXT, pid, at, NULL); }

static uintptr_t places[PLACES_MOST]; /* where the call passes, each once, in their order */
static unsigned place_count;

static bool known(uintptr_t at)
{
	for (unsigned i = place_count; i-- > 0;)
		if (places[i] == at)
			return true;
	return false;
}

/* Steps through one call. The processes are copies of one another: the next passes the same places. */
static void find_places(int outer, enum leave way)
{
	int status;
	pid_t pid = start(outer, way, &status);
	place_count = 0;
	while (!late && at_trap(status) && byte_at(pid, place(pid)) != 0xcc) {
		if (!known(place(pid)) && place_count < PLACES_MOST)
			places[place_count++] = place(pid);
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		status = wait_for(pid);
	}
	alarm(0);
	kill(pid, SIGKILL);
	while (status >= 0 && !WIFSIGNALED(status) && !WIFEXITED(status))
		status = wait_for(pid);
	ended();
}

/* The handler runs before the instruction at `at`. Result: the wait status of the process, or -1: it hung. */
static int run(int outer, enum leave way, uintptr_t at)
{
	int status;
	pid_t pid = start(outer, way, &status);
	if (at_trap(status) && place(pid) != at) { /* a debug register: children of the traced process inherit none */
		ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), at);
		ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 1);
		ptrace(PTRACE_CONT, pid, NULL, NULL);
		status = wait_for(pid);
		ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 0);
	}
	for (bool injected = false; status >= 0 && WIFSTOPPED(status);) {
		int number = !injected ? SIGUSR1 : at_trap(status) ? 0 : WSTOPSIG(status);
		injected = true;
		ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)number);
		status = wait_for(pid);
	}
	alarm(0);
	ended();
	return status;
}

/* RUNS of the places of one call and way, which were found before. */
static bool some_instructions(int outer, enum leave way, unsigned runs)
{
	for (unsigned n = 0; n < runs; n++) {
		const uint64_t before_run = seed;
		unsigned i = (unsigned)(kit_random(&seed) % place_count);
		const int status = run(outer, way, places[i]);
		if (!status)
			continue;
		printf("%s %s: %s (%#x) at instruction %u of %u, seed %llu\n", rows[outer].name, leave_names[way], status < 0 ? "HANGS" : "failed", (unsigned)status,
		       i, place_count, (unsigned long long)before_run);
		return false;
	}
	printf("%s %s instructions %u runs %u\n", rows[outer].name, leave_names[way], place_count, runs);
	return true;
}

static bool any(unsigned runs, const char *outer_wanted, const char *way_wanted)
{
	bool well = runs > 0;
	any_calls = true;
	rows_known();
	for (int outer = 0; outer < (int)row_count; outer++) {
		if (!(rows[outer].traits & CALL_SAFE) || (outer_wanted && strcmp(outer_wanted, rows[outer].name) != 0))
			continue;
		find_places(outer, RETURNS);
		for (enum leave way = RETURNS; way < LEAVES && place_count; way++)
			if (!way_wanted || !strcmp(way_wanted, leave_names[way]))
				well &= some_instructions(outer, way, runs);
	}
	return well;
}

static bool each_instruction(int outer, enum leave way, unsigned stride)
{
	unsigned runs = 0;
	find_places(outer, way);
	for (unsigned i = (unsigned)(outer * LEAVES + (int)way) % stride; i < place_count; i += stride, runs++) {
		const int status = run(outer, way, places[i]);
		if (!status)
			continue;
		printf("%s %s: %s (%#x) at instruction %u of %u\n", outers[outer].name, leave_names[way], status < 0 ? "HANGS" : "failed", (unsigned)status, i,
		       place_count);
		return false;
	}
	printf("%s %s instructions %u runs %u\n", outers[outer].name, leave_names[way], place_count, runs);
	return place_count > 0;
}

int main(int argc, char **argv)
{
	const unsigned stride = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
	bool well = stride > 0;
	struct sigaction act = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &act, NULL);
	if (argc > 3 && !strcmp(argv[1], "any")) {
		seed = strtoull(argv[3], NULL, 0);
		return !any((unsigned)atoi(argv[2]), argc > 4 ? argv[4] : NULL, argc > 5 ? argv[5] : NULL);
	}
	for (int outer = 0; outer < OUTERS && stride; outer++)
		for (enum leave way = RETURNS; way < LEAVES; way++) {
			bool wanted = (argc < 3 || !strcmp(argv[2], outers[outer].name)) && (argc < 4 || !strcmp(argv[3], leave_names[way]));
			const bool possible = way == RETURNS || (way == CHILD ? outers[outer].twice : outers[outer].may_be_left);
			if (wanted && possible)
				well &= each_instruction(outer, way, stride);
		}
	return !well;
}
#endif
