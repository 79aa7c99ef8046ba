/*
 * One connection: who asks, what, and the answer.
 *
 *   1. The peer's user must be ours or root.
 *   2. The request is a line that is whole within 100 ms; else the connection is closed.
 *   3. The answer is written to a file without a name, in memory; its descriptor goes along with "ok SIZE". So what holds the program up
 *      is the work alone, never the reader.
 *
 * Runs in threads_run_aside: any instruction of the program may have been interrupted, so: raw system calls, no lock of anybody else.
 */
#include "control/parts.h"
#include "heap/heap.h"
#include "report/report.h"
#include "base/options.h"
#include "base/text.h"
#include "os/local.h"
#include "os/os.h"

enum { LINE_MOST = 600, LATE_NS = 100000000 };

static void say_error(int fd, const char *text)
{
	char line[LINE_MOST];
	size_t n = text_format(line, sizeof line, "error %s\n", text);
	os_local_send(fd, line, n, -1);
}

/* The line without its newline; -1: none came in time. What follows it is not looked at. */
static long receive_line(int fd, char *line)
{
	uint64_t now = os_now_ns();
	const uint64_t end = now + LATE_NS;
	size_t n = 0;
	for (; n < REQUEST_MOST && now < end; now = os_now_ns()) {
		long r = os_local_receive(fd, line + n, REQUEST_MOST - n, end - now);
		if (r == 0)
			return -1;
		for (long i = 0; i < r; i++, n++)
			if (line[n] == '\n')
				return (long)n;
	}
	return -1;
}

/* ---- answers; false: `wrong` says why ---- */

struct answer {
	int file;
	const char *wrong;
	char text[96];
};

static void put(struct answer *a, const char *text, size_t n)
{
	if (!a->wrong && os_write_quietly(a->file, text, n) != (long)n)
		a->wrong = "the answer can't be written: no memory, or a limit on the size of files";
}

static void hello(struct answer *a)
{
	static const char *const modes[] = { "collect", "report", "audit", "off" };
	char line[LINE_MOST + sizeof options.snapshot_dir], program[400]; /* not of the main thread, which may have ended */
	struct heap_totals totals;
	heap_totals(&totals);
	long n = os_readlink("/proc/thread-self/exe", program, sizeof program - 1);
	program[n > 0 ? n : 0] = 0;
	for (char *c = program; *c; c++)
		if (*c == '\n')
			*c = '?';
	size_t size = text_format(line, sizeof line, "cgc %s %s %d %s\nlive %zu\nreports %s\n", CGC_VERSION, modes[options.mode & 3], os_pid(),
	                          program[0] ? program : "?", totals.live, options.snapshot_dir);
	put(a, line, size);
}

static void snapshot(struct answer *a, const struct request *r)
{
	struct report report;
	/* It is asked about this process alone. */
	report_take(&report, REPORT_SITES | REPORT_INHERITED | (r->blocks ? REPORT_BLOCKS : 0u) | (r->reachable ? REPORT_REACHABLE : 0u));
	int error = report_write(&report, a->file, "demand");
	report_drop(&report);
	if (error) {
		text_format(a->text, sizeof a->text, "the snapshot can't be written: error %d", error);
		a->wrong = a->text;
	}
}

static void put_line(void *arg, const char *line)
{
	put(arg, line, __builtin_strlen(line));
	put(arg, "\n", 1);
}

static void answer(int fd, const struct request *r)
{
	char line[64];
	struct answer a = { .file = os_nameless("cgc answer", -1) };
	if (a.file < 0) {
		say_error(fd, "there is no descriptor or memory for an answer");
		return;
	}
	a.file = os_move_high(a.file);
	if (r->kind == REQUEST_HELLO)
		hello(&a);
	else if (r->kind == REQUEST_SNAPSHOT)
		snapshot(&a, r);
	else
		report_why(r->address, put_line, &a);
	int64_t size = os_size(a.file);
	if (a.wrong || size < 0)
		say_error(fd, a.wrong ? a.wrong : "the answer is lost");
	else
		os_local_send(fd, line, text_format(line, sizeof line, "ok %lu\n", (unsigned long)size), a.file);
	os_close(a.file);
}

void serve_connection(int fd)
{
	char line[REQUEST_MOST];
	struct request r;
	unsigned user;
	if (!os_local_peer(fd, &user) || (user != 0 && user != os_user())) {
		say_error(fd, "only root and the user who runs this program may ask");
		return;
	}
	long n = receive_line(fd, line);
	if (n < 0)
		return;
	request_read(line, (size_t)n, &r);
	if (r.kind == REQUEST_WRONG)
		say_error(fd, r.wrong);
	else
		answer(fd, &r);
}
