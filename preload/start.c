/*
 * Start, fork and end of the process, as the library sees them; everything above src/ is wired to src/ here.
 *
 *   before the constructor   malloc works (src/heap starts itself), nothing else of cgc runs
 *   constructor              options, hooks, real functions, fork handlers, thread key, collector
 *   thread's end             a pthread key's destructor returns the cache; what is allocated after it makes a new one and
 *                            arms the key again
 *   fork                     no cycle in flight; the child forgets the other threads
 *   end                      report, statistics: behind the last exit handler, in _exit and its kin, before an exec or in a signal
 *                            (exit.c)
 *
 * The constructor calls nothing that may allocate before the hooks are in place, and nothing that prints unless asked.
 */
#include "preload/altstacks.h"
#include "api/lsan.h"
#include "backtrace/backtrace.h"
#include "cycle/audit.h"
#include "cycle/cycle.h"
#include "heap/harden.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "preload/children.h"
#include "preload/end.h"
#include "preload/faults.h"
#include "preload/kin.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "control/control.h"
#include "report/report.h"
#include "roots/roots.h"
#include "threads/threads.h"
#include "base/console.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static pthread_key_t key;
static bool keyed;

/* ---- our own pages ---- */

/*
 * Much of the code runs once in each process, a bit here and a bit there, and the first touch of a page is a fault, hundreds of times what
 * the code there takes. So they are asked for at once: the code at start and in a child, which finds none of it in its page tables; and the
 * small variables in a child, as all pages of them are written there (bits.h: LARGE and STEADY ones lie behind).
 */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
static uint8_t small_start[1] __attribute__((section(".data"))) = { 1 };
static __attribute__((section(".bss.edge"))) uint8_t small_end[1];
static __attribute__((section(".bss.kept.z"))) uint8_t steady_end[1];

extern const uint8_t cgc_first_end[] __attribute__((weak, visibility("hidden"))); /* of what every process runs (order.ld) */
extern const uint8_t cgc_report_end[] __attribute__((weak, visibility("hidden"))); /* of what a report runs besides */

FORKED static void find_code(void)
{
	const ElfW(Phdr) *ph = (const void *)((uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);
	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
		const uintptr_t low = align_down((uintptr_t)&__ehdr_start + ph[i].p_vaddr, OS_PAGE);
		const uintptr_t high = align_up((uintptr_t)&__ehdr_start + ph[i].p_vaddr + ph[i].p_memsz, OS_PAGE);
		if (ph[i].p_type == PT_LOAD && ph[i].p_flags & PF_X)
			os_code = (struct os_code){ low, align_up((uintptr_t)cgc_first_end, OS_PAGE), align_up((uintptr_t)cgc_report_end, OS_PAGE), high };
	}
	if (os_code.first_end <= os_code.low || os_code.first_end > os_code.end) /* linked without it */
		os_code.first_end = os_code.report_end = os_code.end;
}

FORKED static void fill(const uint8_t *variables_end)
{
	enum { CONSTANTS = 24 * 1024 };  /* behind the code, before what unwinders read */
	enum { SMALL = 64 * 1024 }; /* a linker that sorts otherwise puts the ends anywhere */
	const uintptr_t low = align_down((uintptr_t)small_start, OS_PAGE), high = align_up((uintptr_t)variables_end + 1, OS_PAGE);
	os_fill(os_code.low, os_code.first_end - os_code.low, false);
	os_fill(os_code.end, CONSTANTS, false);
	if (high - low <= SMALL)
		os_fill(low, high - low, true);
}

/* ---- threads ---- */

static void thread_end(void *unused)
{
	altstack_leaves(self.stack_low, self.stack_high); /* another thread's may lie there */
	heap_thread_exit();
}

static void thread_seen(void)
{
	if (keyed)
		pthread_setspecific(key, &key);
	if (UNLIKELY(heap_hooks.asked != NULL) && !os_is_confined()) /* glibc's handler has replaced ours, if this is the first thread */
		threads_hear();
}

/* ---- fork ---- */

static void fork_prepare(void)
{
	backtrace_fork_prepare();
	cycle_fork_prepare();
	roots_fork_prepare();
}

FORKED static void fork_child(void)
{
	fill(small_end);
	identity_forked();
	roots_forked(); /* first: the heap's locks rank below the one that fork_prepare took here */
	heap_fork_child();
	cycle_fork_child_end();
}

static void fork_parent(void)
{
	roots_fork_parent();
	cycle_fork_parent();
}

/* By heap_hooks.forked in every child, whether fork's handlers ran (fork_child) or the heap noticed (raw clone). */
static void forked(void)
{
	const char *degraded = stats.degraded, *elsewhere = stats.malloc_elsewhere;
	for (uint64_t *word = (uint64_t *)&stats, *end = (uint64_t *)(&stats + 1); word < end; word++) {
		*word = 0;
		__asm__ volatile("" : : : "memory"); /* no call of memset: it is a page of libc to be found, in every child */
	}
	stats.degraded = degraded;
	stats.malloc_elsewhere = elsewhere;
	threads_forked();
	roots_forked();
	cycle_fork_child();
	report_forked();
	audit_forked();
	end_forked();
	faults_forked();
	altstacks_forked();
	control_forked();
}

/*
 * Handlers run before fork last registered first. Ours must come first in that list, so that it runs last: handlers that run
 * behind it would find the heap locked by their own thread, or wait for a lock whose holder waits for the heap. Constructors
 * of libraries that we do not depend on may run before ours, so whoever registers first registers us.
 */
extern void *__dso_handle __attribute__((visibility("hidden")));

static void register_fork(void)
{
	static uint32_t done;
	if (__atomic_exchange_n(&done, 1, __ATOMIC_ACQ_REL))
		return;
	heap_hooks.forked = forked;
	heap_hooks.flight_channel = flight_channel_at;
	real()->__register_atfork(fork_prepare, fork_parent, fork_child, &__dso_handle);
}

__attribute__((visibility("default"))) int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
	register_fork();
	return real()->__register_atfork(prepare, parent, child, library);
}

/* ---- options ---- */

static void complain(const char *line) { say("%s", line); }

static void parse(char **env, void (*tell)(const char *line))
{
	static const char name[] = "CGC_OPTIONS=";
	for (; env && *env; env++)
		if (strncmp(*env, name, sizeof name - 1) == 0)
			options_parse(&options, *env + sizeof name - 1, tell);
}

/* LeakSanitizer's variable counts in reports only, and less than ours. */
static void parse_lsan(char **env)
{
	static const char name[] = "LSAN_OPTIONS=";
	const char *text = NULL;
	for (char **e = env; e && *e; e++)
		if (strncmp(*e, name, sizeof name - 1) == 0)
			text = *e + sizeof name - 1;
	lsan_read_options(&options, text);
	parse(env, NULL);
}

static void read_options(char **env)
{
	options_defaults(&options);
	if (os_secure()) /* the environment of a setuid program is somebody else's */
		return;
	parse(env, complain);
	if (options.mode == MODE_REPORT)
		parse_lsan(env);
	const char *wrong = options.fault[0] ? fault_parse(options.fault) : NULL;
	if (wrong)
		say("option fault=%s: %s: no fault is armed", options.fault, wrong);
	if (options.help)
		options_print_help();
}

/* valgrind runs threads one at a time, on a processor of its own making: no stop, no register and no mapping is what it seems. */
static bool under_valgrind(char **env)
{
	static const char name[] = "LD_PRELOAD=";
	for (; env && *env; env++)
		if (strncmp(*env, name, sizeof name - 1) == 0 && strstr(*env, "/vgpreload_"))
			return true;
	return false;
}

static void off(const char *why, bool aloud)
{
	stats.degraded = why;
	options.mode = MODE_OFF;
	if (aloud)
		say("%s: nothing is recycled: the program runs as with mode=off", why);
}

/* ---- start ---- */

FORKED __attribute__((constructor)) static void start(int argc, char **argv, char **env)
{
	env = env ? env : environ;
	find_code();
	fill(steady_end);
	console_start();
	read_options(env);
	if (!children_serves(argv, env)) {
		off("children= leaves this program out", false);
		options.stats = 0;
	}
	if (under_valgrind(env) && options.mode != MODE_OFF)
		off("the program runs under valgrind", true);
	real_start();
	heap_start();
	if (options.harden)
		harden_start();
	const char *forbidden = options.mode == MODE_OFF ? NULL : os_filter_forbids();
	if (forbidden) {
		static char why[96];
		text_format(why, sizeof why, "a filter forbids system calls that collecting needs (%s)", forbidden);
		off(why, true);
	}
	filter_tell = end_early;
	kin_start();
	keyed = pthread_key_create(&key, thread_end) == 0;
	heap_hooks.thread_seen = thread_seen;
	thread_seen();
	register_fork();
	threads_start((int)options.signal);
	roots_start();
	cycle_start();
	if (options.mode != MODE_REPORT)
		options.report_on = 0;
	report_start();
	lsan_start();
	children_find_first(env);
	if (options.report_on & REPORT_ON_EXEC)
		exec_tell = end_by_exec;
	if (faults_wanted())
		faults_start(end_by_signal);
	end_start();
	control_start(env);
	control_interval(options.interval);
}
