/*
 * Preloaded by stacks.sh: malloc and kin of libc with a captured stack for each call, compared with what others make of it.
 *
 *   every call           backtrace_here (the rest known from the stack before) against backtrace_plain (each frame undone): they must be equal
 *   every Nth            the same against _Unwind_Backtrace of libgcc: known to be right, and 50 times as slow
 *
 * CHECK_LOG: a file that each process adds one line of counters to. CHECK_EVERY: N, 31 if not set. CHECK_SHOW: how many differing stacks are
 * written to CHECK_LOG.differs. CHECK_BOUNDS=0: no thread knows where its stack ends. CHECK_FAULT: a fault= of the library.
 *
 * libgcc's last frame may be one without an FDE, where it ends and we go on by frame pointer, or a zero: both are cut off before comparing.
 */
#include "backtrace/backtrace.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "base/fault.h"
#include "threads/threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

#define EXPORT __attribute__((visibility("default")))

enum { MOST = BACKTRACE_MOST };

static bool ready, bounds = true;
static uint64_t every = 31, show = 3;
static char log_name[256], *log_path; /* a copy: redis writes its title over the environment */
static uint64_t calls, compared, equal, shorter, longer, suffix_differs; /* atomic */
static struct backtrace_totals before;
static _Thread_local int busy __attribute__((tls_model("initial-exec")));
static _Thread_local int known __attribute__((tls_model("initial-exec")));

struct theirs {
	uintptr_t pcs[MOST + 64];
	size_t count;
};

static _Unwind_Reason_Code collect(struct _Unwind_Context *c, void *arg)
{
	struct theirs *t = arg;
	uintptr_t pc = _Unwind_GetIP(c);
	if (t->count == NELEM(t->pcs))
		return _URC_END_OF_STACK;
	if (pc)
		t->pcs[t->count++] = pc;
	return _URC_NO_REASON;
}

static void print_stack(FILE *f, const char *name, const uintptr_t *pcs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Dl_info d = { 0 };
		dladdr((void *)(pcs[i] - 1), &d);
		fprintf(f, "  %s %2zu %lx %s+%lx %s\n", name, i, pcs[i], d.dli_fname ? d.dli_fname : "?", pcs[i] - (uintptr_t)d.dli_fbase,
		        d.dli_sname ? d.dli_sname : "");
	}
}

static void differs(const char *what, const uintptr_t *a, size_t an, const uintptr_t *b, size_t bn)
{
	char path[512];
	static uint64_t shown;
	if (add_relaxed(&shown, 1) >= show || !log_path)
		return;
	snprintf(path, sizeof path, "%s.differs", log_path);
	FILE *f = fopen(path, "a");
	if (!f)
		return;
	fprintf(f, "%s, process %d:\n", what, getpid());
	print_stack(f, "ours", a, an);
	print_stack(f, "other", b, bn);
	fclose(f);
}

static void compare(const void *caller, const uintptr_t *ours, size_t n)
{
	struct theirs t = { .count = 0 };
	size_t skip = 0;
	_Unwind_Backtrace(collect, &t);
	while (skip < t.count && t.pcs[skip] != (uintptr_t)caller)
		skip++;
	size_t m = t.count - skip;
	if (m > MOST)
		m = MOST;
	add_relaxed(&compared, 1);
	size_t common = n < m ? n : m;
	if (memcmp(ours, t.pcs + skip, common * sizeof *ours) || n < m) {
		add_relaxed(n < m && !memcmp(ours, t.pcs + skip, common * sizeof *ours) ? &shorter : &longer, 1);
		if (n >= m)
			add_relaxed(&longer, (uint64_t)-1);
		differs("libgcc", ours, n, t.pcs + skip, m);
	} else if (n > m) {
		add_relaxed(&longer, 1);
		add_relaxed(&equal, 1);
	} else {
		add_relaxed(&equal, 1);
	}
}

static void know_stack(void)
{
	pthread_attr_t attr;
	void *low;
	size_t size;
	known = 1;
	if (!bounds) {
		threads_stack_known(0, 0);
	} else if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		if (pthread_attr_getstack(&attr, &low, &size) == 0)
			threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
		pthread_attr_destroy(&attr);
	}
}

static __attribute__((noinline)) void check(const void *caller)
{
	if (!ready || busy)
		return;
	int saved = errno;
	busy = 1;
	if (!known)
		know_stack();
	modules_list();
	uintptr_t ours[MOST], plain[MOST];
	uint32_t node = backtrace_here(caller);
	size_t n = depot_stack(node, ours, MOST), m = backtrace_plain(caller, plain, MOST);
	uint64_t call = add_relaxed(&calls, 1);
	if (n != m || memcmp(ours, plain, n * sizeof *ours)) {
		add_relaxed(&suffix_differs, 1);
		differs("plain walk", ours, n, plain, m);
	}
	if (call % every == 0)
		compare(caller, ours, n);
	busy = 0;
	errno = saved;
}

EXPORT void *malloc(size_t size)
{
	void *p = __libc_malloc(size);
	check(__builtin_return_address(0));
	return p;
}
EXPORT void *calloc(size_t count, size_t size)
{
	void *p = __libc_calloc(count, size);
	check(__builtin_return_address(0));
	return p;
}
EXPORT void *realloc(void *old, size_t size)
{
	void *p = __libc_realloc(old, size);
	check(__builtin_return_address(0));
	return p;
}
EXPORT void *aligned_alloc(size_t align, size_t size)
{
	void *p = __libc_memalign(align, size);
	check(__builtin_return_address(0));
	return p;
}

EXPORT void *memalign(size_t align, size_t size) { return aligned_alloc(align, size); }
EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	void *p = aligned_alloc(align, size);
	if (p)
		*out = p;
	return p ? 0 : ENOMEM;
}
EXPORT void free(void *p) { __libc_free(p); }
/* glibc's header: the chunk's size with three flags, the second of which says that it was mapped. A program may bring another malloc
 * (redis: jemalloc), so libc's own is asked by no name. */
EXPORT size_t malloc_usable_size(void *p)
{
	size_t header = p ? ((size_t *)p)[-1] : 0;
	return header & 2 ? (header & ~(size_t)7) - 16 : p ? (header & ~(size_t)7) - 8 : 0;
}

static void forked(void)
{
	modules_forked();
	backtrace_forked();
	calls = compared = equal = shorter = longer = suffix_differs = 0;
	backtrace_totals(&before);
}

__attribute__((constructor)) static void start(void)
{
	const char *e = getenv("CHECK_EVERY"), *b = getenv("CHECK_BOUNDS"), *f = getenv("CHECK_FAULT"), *s = getenv("CHECK_SHOW");
	const char *l = getenv("CHECK_LOG");
	if (l && strlen(l) < sizeof log_name)
		log_path = strcpy(log_name, l);
	if (e && atoi(e) > 0)
		every = (uint64_t)atoi(e);
	if (s)
		show = (uint64_t)atoi(s);
	bounds = !b || *b != '0';
	if (f)
		fault_parse(f);
	threads_start(33);
	pthread_atfork(NULL, NULL, forked);
	ready = backtrace_start();
}

__attribute__((destructor)) static void end(void)
{
	struct backtrace_totals t;
	char line[512];
	ready = false;
	backtrace_totals(&t);
	int fd = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	int n = snprintf(line, sizeof line,
	                 "calls %lu compared %lu equal %lu shorter %lu longer %lu suffix_differs %lu captures %lu frames %lu walked %lu hits %lu misses "
	                 "%lu frame_pointer %lu cut %lu nodes %u\n",
	                 calls, compared, equal, shorter, longer, suffix_differs, t.captures - before.captures, t.frames - before.frames,
	                 t.walked - before.walked, t.suffix_hits - before.suffix_hits, t.rule_misses - before.rule_misses,
	                 t.frame_pointer - before.frame_pointer, t.cut - before.cut, depot_count());
	if (fd >= 0 && n > 0 && write(fd, line, (size_t)n) == n)
		close(fd);
}
