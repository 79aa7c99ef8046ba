/*
 * The end of the process, as often as there are ways to it. The report, or what an audit saw, and the statistics come once.
 *
 *   exit, return from main   an exit handler that our constructor registers: earlier than __libc_start_main registers the loader's, so
 *                            it runs behind that, behind the program's handlers, C++ destructors and the destructors of all libraries
 *   quick_exit               its first handler, which runs last
 *   _exit, _Exit             wrapped. A vfork child, which shares our memory and ends by _exit when its exec failed, passes through
 *   exec, report_on=exec     before the call, when the file may be executed
 *   a signal, report_on=     faults.c calls end_by_signal, in a handler, when the action is the default
 *
 * Lines and the program's output may go to the same file, and a buffered stdout is flushed after the last handler: then it is flushed first, by
 * what exit itself calls next (fcloseall is glibc's name for it), which waits for no stream that another thread reads from. If the two are
 * different files nothing is flushed early: a broken pipe would end the program before its report.
 */
#include "api/lsan.h"
#include "control/control.h"
#include "cycle/audit.h"
#include "cycle/cycle.h"
#include "heap/heap.h"
#include "heap/self.h"
#include "preload/children.h"
#include "preload/end.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "report/report.h"
#include "roots/roots.h"
#include "base/console.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <stdio.h>

#define EXPORT __attribute__((visibility("default"), noreturn))

static uint32_t ended; /* atomic */
static bool copied;    /* this process came by fork, not by exec */
static bool registered;/* exit handlers will run behind the destructors */

void end_forked(void) { copied = true; }

static bool tells(void) { return options.stats || options.sites || options.mode == MODE_REPORT || options.mode == MODE_AUDIT; }

/* Standard error is closed by the last exit handler of many programs, before we have our say. */
__attribute__((visibility("default"))) int fclose(FILE *f)
{
	if (UNLIKELY(f == stderr) && tells() && !options.log_path[0] && !os_is_confined() && identity_own())
		console_keep();
	return real()->fclose(f);
}

/* ---- what is told ---- */

void end_early(const char *why)
{
	stats.degraded = why;
	if (options.mode == MODE_REPORT || options.mode == MODE_AUDIT)
		say("%s: leaks and hidden pointers are not told: --verbosity=1 shows what was seen before", why);
	if (options.stats && !__atomic_exchange_n(&ended, 1, __ATOMIC_ACQ_REL))
		cycle_print_stats();
}

/* Contradictions. A child of fork that did little says nothing: its parent's line speaks for the program. */
static uint64_t end_audit(void)
{
	struct tally t;
	audit_finish();
	audit_tally(&t);
	if (t.contradictions)
		roots_list_segments_again();
	if (!copied || t.contradictions || t.judgements >= TALLY_ENOUGH)
		audit_print();
	return t.contradictions;
}

/* Result: the exit status that exitcode= asks for, or -1: leave it. */
static int end_process(void)
{
	heap_notice_fork();
	if (os_is_confined() || __atomic_exchange_n(&ended, 1, __ATOMIC_ACQ_REL))
		return -1;
	uint64_t found = 0;
	os_ending();
	control_end();
	if (options.mode == MODE_REPORT && lsan_reports_at_exit()) {
		roots_list_segments_again();
		found = report_at_exit();
	} else if (options.mode == MODE_AUDIT) {
		found = end_audit();
	} else if (options.mode == MODE_COLLECT && options.sites && (!copied || load_relaxed(&stats.recycled_blocks))) {
		roots_list_segments_again();
		audit_print_recycled();
	}
	if (options.stats)
		cycle_print_stats();
	return found && children_exitcode() ? (int)options.exitcode : -1;
}

/* ---- exit ---- */

static bool output_meets_log(void)
{
	struct os_file output, errors;
	return !options.log_path[0] && os_file(1, &output) && os_file(2, &errors) && output.device == errors.device && output.inode == errors.inode;
}

static void end_exit(void *unused)
{
	report_ending((uintptr_t)__builtin_dwarf_cfa());
	if (!os_is_confined() && tells() && output_meets_log())
		real()->fcloseall();
	int code = end_process();
	if (code < 0)
		return;
	real()->fcloseall(); /* the status is replaced, and nobody may lose output by it */
	os_exit(code);
}

static void end_quickly(void *unused)
{
	report_ending((uintptr_t)__builtin_dwarf_cfa());
	int code = end_process();
	if (code >= 0)
		os_exit(code);
}

/* Without a library of theirs they do not run when ours is finalized, but in their turn. */
int __cxa_atexit(void (*fn)(void *), void *arg, void *library);
int __cxa_at_quick_exit(void (*fn)(void *), void *library);

void end_start(void)
{
	registered = __cxa_atexit(end_exit, NULL, NULL) == 0;
	__cxa_at_quick_exit(end_quickly, NULL);
}

/* No handler could be registered: a little too early is better than never. */
__attribute__((destructor)) static void end(void)
{
	if (!registered)
		end_exit(NULL);
}

EXPORT void _exit(int status);
EXPORT void _Exit(int status);

EXPORT void _exit(int status)
{
	if (tells() && identity_own()) {
		report_ending((uintptr_t)__builtin_dwarf_cfa());
		int code = end_process();
		if (code >= 0)
			status = code;
	}
	os_exit(status);
}

EXPORT void _Exit(int status) { _exit(status); }

/* ---- ends that run no handler ---- */

void end_by_exec(void)
{
	if (!os_is_confined())
		report_tell("exec");
}

void end_by_signal(int number)
{
	char why[24];
	if (os_is_confined() || !identity_own() || __atomic_exchange_n(&ended, 1, __ATOMIC_ACQ_REL))
		return;
	control_end();
	report_ending((uintptr_t)__builtin_dwarf_cfa());
	text_format(why, sizeof why, "signal %d", number);
	if (self.busy || self.in_collector || !report_ready())
		say("%s came in the middle of malloc or of a report: the heap cannot be looked at: the process ends without a report", why);
	else
		report_tell(why);
}
