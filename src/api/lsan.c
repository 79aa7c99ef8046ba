/*
 * LeakSanitizer's interface (sanitizer/lsan_interface.h), so that programs which know LeakSanitizer need no change.
 *
 *   __lsan_disable, __lsan_enable           in this thread, nested: what it allocates meanwhile is no leak, nor is what that reaches
 *   __lsan_ignore_object                    the same for one block, by any address in it
 *   __lsan_register_root_region, ...        roots/declared.c, in every mode
 *   __lsan_do_leak_check                    the report now and not at exit; ends the process if exitcode= is set and it found something
 *   __lsan_do_recoverable_leak_check        the report now; the result says whether it found something
 *
 * and what a program may define: __lsan_default_options, __lsan_default_suppressions, __lsan_is_turned_off. These are weak references, which the loader binds before any
 * constructor runs. It finds them in libraries, and in an executable that exports them (linked with -rdynamic), as with LeakSanitizer's own
 * shared runtime. Without a definition they are NULL.
 *
 * Everything but root regions does something in mode=report only. (Under a real LeakSanitizer we step aside, preload/aside.c.)
 */
#include "api/lsan.h"
#include "cgc.h"
#include "heap/ignored.h"
#include "heap/self.h"
#include "report/report.h"
#include "report/suppress.h"
#include "roots/roots.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void __lsan_disable(void);
EXPORT void __lsan_enable(void);
EXPORT void __lsan_ignore_object(const void *p);
EXPORT void __lsan_register_root_region(const void *p, size_t size);
EXPORT void __lsan_unregister_root_region(const void *p, size_t size);
EXPORT void __lsan_do_leak_check(void);
EXPORT int __lsan_do_recoverable_leak_check(void);

extern __attribute__((weak, visibility("default"))) const char *__lsan_default_options(void);
extern __attribute__((weak, visibility("default"))) const char *__lsan_default_suppressions(void);
extern __attribute__((weak, visibility("default"))) int __lsan_is_turned_off(void);

static uint32_t checked; /* atomic: __lsan_do_leak_check took the place of the report at exit */

/* ---- what is no leak ---- */

void __lsan_disable(void) { self.ignoring++; }

void __lsan_enable(void)
{
	if (self.ignoring)
		self.ignoring--;
	else if (options.mode == MODE_REPORT)
		say("__lsan_enable() without __lsan_disable() in this thread: it is ignored: calls must come in pairs");
}

void __lsan_ignore_object(const void *p)
{
	if (options.mode == MODE_REPORT)
		ignored_add((uintptr_t)p);
}

/* ---- roots ---- */

void cgc_add_root(const void *low, size_t size) { roots_declare((uintptr_t)low, (uintptr_t)low + size); }
bool cgc_remove_root(const void *low, size_t size) { return roots_undeclare((uintptr_t)low, (uintptr_t)low + size); }

void __lsan_register_root_region(const void *p, size_t size) { cgc_add_root(p, size); }

void __lsan_unregister_root_region(const void *p, size_t size)
{
	if (!cgc_remove_root(p, size) && options.mode == MODE_REPORT)
		say("__lsan_unregister_root_region(%p, %zu): there is no such region: it is ignored: both must be as they were registered", p, size);
}

/* ---- checks ---- */

static bool wanted(void)
{
	return options.mode == MODE_REPORT && !options.lsan.off && !(__lsan_is_turned_off && __lsan_is_turned_off());
}

static bool check(void)
{
	roots_list_segments_again();
	return report_at_exit() != 0;
}

void __lsan_do_leak_check(void)
{
	if (!wanted() || __atomic_exchange_n(&checked, 1, __ATOMIC_ACQ_REL))
		return;
	if (check() && options.exitcode) {
		fflush(NULL); /* the end comes from here, and nobody may lose output by it */
		os_exit((int)options.exitcode);
	}
}

int __lsan_do_recoverable_leak_check(void) { return wanted() && check(); }

bool lsan_reports_at_exit(void) { return !load_acquire(&checked) && !options.lsan.not_at_exit && wanted(); }

/* ---- options ---- */

void lsan_read_options(struct options *o, const char *environment)
{
	const char *own = __lsan_default_options ? __lsan_default_options() : NULL;
	if (own)
		options_parse_lsan(o, own);
	if (environment)
		options_parse_lsan(o, environment);
}

void lsan_start(void)
{
	const char *own = options.mode == MODE_REPORT && __lsan_default_suppressions ? __lsan_default_suppressions() : NULL;
	if (own)
		report_suppress_text("__lsan_default_suppressions()", own);
}
