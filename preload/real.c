/*
 * Looks up the real functions by dlsym(RTLD_NEXT).
 *
 * dlsym may allocate (its error text, by calloc): that is harmless, as malloc needs nothing from here. A function that this
 * libc does not have becomes `missing`, which fails with ENOSYS, as the system call under it would: programs that were
 * linked against such a libc never call it, and those that look with dlsym find our wrapper and then ENOSYS, for which
 * callers of new calls are prepared.
 */
#include "preload/real.h"
#include <errno.h>

STEADY struct real real_functions;
__attribute__((visibility("hidden"))) void *real_dlopen;      /* read by the jump in dl.c */
__attribute__((visibility("hidden"))) void *real_makecontext; /* read by the jump in context.c */

__attribute__((visibility("hidden"))) long (*real_syscall)(long n, ...); /* read by the jump in raw.c */

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *find(const char *name)
{
	void *p = lookup_behind(name);
	return p ? p : (void *)missing;
}

void real_start(void)
{
	int saved = errno;
	real_dlopen = find("dlopen");
	real_makecontext = find("makecontext");
	*(void **)&real_syscall = find("syscall");
#define X(name) *(void **)&real_functions.name = find(#name);
	REAL_FUNCTIONS(X)
#undef X
	store_release(&real_functions.ready, true);
	errno = saved;
}
