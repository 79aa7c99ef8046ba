/*
 * A program that confines itself by a filter of system calls (seccomp), by prctl or by the system call itself.
 *
 * What it lets pass is what the program was seen to need. A cycle opens /proc, signals, reads memory by system calls; any of them may
 * kill the process from here on. So collecting ends before the filter comes, and after it only calls are made that malloc can't do without
 * (os_confined). What statistics there are is printed before, if asked for. The filter may bind one thread only; all of
 * collecting ends nevertheless, as each thread takes part in a stop.
 *
 * The order: no cycle in flight, the call, os_confined. In between nothing of ours makes a system call in this thread.
 */
#include "control/control.h"
#include "cycle/cycle.h"
#include "os/os.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "roots/flight.h"
#include <stdarg.h>

void (*filter_tell)(const char *why);

static const char why[] = "the program installed a filter of system calls";

void filter_begin(void)
{
	control_end();
	cycle_confine();
	if (filter_tell)
		filter_tell(why);
}

void filter_end(bool installed)
{
	if (installed) {
		flight_start(0); /* nothing that is written is looked through any more */
		store_release(&os_confined, 1);
		return;
	}
	stats.degraded = NULL;
	cycle_confine_failed();
	control_resume();
}

int prctl(int option, ...)
{
	va_list list;
	unsigned long a[4];
	va_start(list, option);
	for (int i = 0; i < 4; i++) /* as glibc does: what the caller left out is whatever is there */
		a[i] = va_arg(list, unsigned long);
	va_end(list);
	if (LIKELY(option != PR_SET_SECCOMP) || os_is_confined() || !identity_own())
		return real()->prctl(option, a[0], a[1], a[2], a[3]);
	filter_begin();
	int r = real()->prctl(option, a[0], a[1], a[2], a[3]);
	filter_end(r == 0);
	return r;
}
