/*
 * bad_pointers [NAME]: each call of calls.h, with each of its pointers and sizes spoiled, and each word of what a pointer leads to.
 *
 * A line a case: what the call answered, or which signal ended the process. bad_pointers.sh compares the lines with those of a run without
 * the library: where the kernel says EFAULT there must be no fault of ours, and where libc faults, the same.
 *
 * A case is a process of its own. Spoiled is what each argument of calls.h is: an object becomes an address of the list below, or lies so that
 * it ends with its mapping; a word of it becomes one; a size becomes too large.
 *
 *     bad_pointers names    the calls instead of the cases
 */
#include "calls.h"

#include <sys/wait.h>

enum { PAGE = 4096, WORDS_MOST = 12, CUTS = 3, SECONDS = 20 };

/* The same in each process: parts of the address are numbers to some calls. */
#define ROOM 0x123450000000

static const char *wanted;
static char *forbidden; /* a page that can't be read, behind one that can */
static char *constant;  /* one that can't be written, zero */
static int result_pipe[2];

/* ---- one case ---- */

struct spoiled {
	int row, argument;
	enum { WELL, BAD, CONSTANT, AT_END, WORD, TOO_LARGE, HOWS } how;
	int nth;
};
static const char *const hows[HOWS] = { "well", "bad", "constant", "at the end", "with a word", "size" };
enum { VALUES = 5 }; /* for each word */

static bool with_ring(const struct call *c) { return strstr(c->name, "io_") && !strstr(c->name, "uring"); } /* takes 40 ms to end */
static char *copy_before(char *end, const void *object, size_t size) { return memcpy(end - size, object, size); }

static bool spoil_object(const struct call *c, struct call_argument *a, const struct spoiled *s)
{
	const uintptr_t bad[] = { 0, 1, (uintptr_t)forbidden, UINTPTR_MAX, -(uintptr_t)PAGE, (uintptr_t)1 << 63, (uintptr_t)1 << 46 };
	const uint64_t values[VALUES] = { UINT64_MAX, 0, 1, (uintptr_t)forbidden, INT64_MAX };
	const unsigned word = (unsigned)s->nth / VALUES, n = (unsigned)s->nth;
	const void *object = (const void *)a->value;
	char *at;
	switch (s->how) {
	case BAD:
		a->value = n < sizeof bad / sizeof *bad ? (long)bad[n] : 0;
		return n < sizeof bad / sizeof *bad;
	case CONSTANT:
		a->value = (long)(uintptr_t)constant;
		return n == 0 && !(c->traits & CALL_SLEEPS);
	case AT_END: /* it all is there; half of it; a quarter */
		if (n > CUTS || !(a->size >> n))
			return false;
		a->value = (long)(uintptr_t)copy_before(forbidden, object, a->size >> n);
		return true;
	case WORD:
		if (word >= a->size / 8 || word >= (with_ring(c) ? 2 : WORDS_MOST))
			return false;
		at = copy_before(forbidden - (-a->size & 15), object, a->size);
		if (n % VALUES == 0 || !(c->traits & CALL_SLEEPS))
			memcpy(at + (size_t)8 * word, &values[n % VALUES], 8);
		a->value = (long)(uintptr_t)at;
		return true;
	default:
		return false;
	}
}

/* false: there is no such case. */
static bool spoil(struct call *c, const struct spoiled *s)
{
	static const long sizes[] = { 0, -1, INT64_MAX, (long)1 << 47, INT32_MAX, (long)1 << 32 | 1, 1025 };
	struct call_argument *a = &c->a[s->argument];
	if (s->how == WELL)
		return s->argument == 0 && s->nth == 0;
	if (a->kind == ARGUMENT_OBJECT)
		return spoil_object(c, a, s);
	if (a->kind != ARGUMENT_SIZE || s->how != TOO_LARGE || s->nth >= (int)(sizeof sizes / sizeof *sizes))
		return false;
	a->value = sizes[s->nth];
	return true;
}

/* ---- the calls, by number of their row ---- */

static int row_now, row_wanted;
static struct call found;

static void find(struct call *c)
{
	if (row_now++ == row_wanted)
		found = *c;
}
static bool row(int n)
{
	row_now = 0;
	row_wanted = n;
	calls_each(find);
	return n < row_now;
}

/* ---- a process a case ---- */

#define FAULT 0x7f00faa0175a5a5a

struct answer {
	long result;
	int number; /* errno */
};

static void send_answer(long result, int number)
{
	struct answer a = { result, number };
	_exit(syscall(SYS_write, result_pipe[1], &a, sizeof a) == sizeof a ? 0 : 99);
}

/* A fault must reach its handler. */
static void on_fault(int number)
{
	(void)number;
	send_answer(FAULT, 0);
}

static void make(const struct spoiled *s)
{
	struct sigaction act = { .sa_handler = on_fault };
	const int quiet = open("/dev/null", O_WRONLY);
	dup2(quiet, 2); /* libc's own last words */
	calls.with_ring = with_ring(&found);
	calls_prepare();
	row(s->row);
	spoil(&found, s);
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	raise(SIGUSR2); /* is pending then: calls that wait for it end at once */
	alarm(SECONDS);
	errno = 0;
	long r = call_make(&found);
	send_answer(r, errno);
}

static void tell(const struct call *c, struct answer a)
{
	long r = c->traits & CALL_WIDE ? a.result : (int)a.result;
	if (a.result == FAULT)
		printf("a fault");
	else if (c->traits & CALL_ADDRESS)
		printf(a.result == -1 ? "-1" : a.result ? "an address" : "NULL");
	else
		printf("%ld", r);
	if (c->traits & CALL_ERRNO && r == -1)
		printf(" errno %d", a.number);
	printf("\n");
}

static void run(const struct call *c, const struct spoiled *s)
{
	int status;
	struct answer a;
	printf("%s argument %d %s %d: ", c->name, s->argument, hows[s->how], s->nth);
	fflush(stdout);
	calls_prepare_shared();
	pid_t pid = fork();
	if (pid == 0)
		make(s);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		kit_fail("no process");
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) || read(result_pipe[0], &a, sizeof a) != sizeof a)
		printf("exit %d\n", WEXITSTATUS(status));
	else
		tell(c, a);
	calls_remove_shared();
}

static void each_case(const struct call *c, int n)
{
	struct spoiled s = { n, 0, WELL, 0 };
	for (s.argument = 0; s.argument < CALL_ARGUMENTS; s.argument++)
		for (s.how = WELL; s.how < HOWS; s.how++)
			for (s.nth = 0;; s.nth++) {
				struct call spoiled = *c;
				if (!spoil(&spoiled, &s))
					break;
				run(c, &s);
			}
}

int main(int argc, char **argv)
{
	wanted = argc > 1 ? argv[1] : NULL;
	char *room = mmap((void *)ROOM, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED || constant == MAP_FAILED || pipe(result_pipe) || mprotect(room + 2 * PAGE, PAGE, PROT_NONE))
		kit_fail("no memory");
	forbidden = room + 2 * PAGE;
	signal(SIGURG, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (int n = 0; row(n); n++) {
		const struct call c = found;
		if (wanted && strcmp(wanted, "names") == 0)
			puts(c.name);
		else if (!wanted || strcmp(wanted, c.name) == 0)
			each_case(&c, n);
	}
	return 0;
}
