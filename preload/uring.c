/*
 * liburing's functions that enter the kernel. It makes its system calls itself, so raw.c does not see them; these wrappers look through
 * the ring before what it holds is submitted (rings.c), and make waits again that only a stop ended (eintr.h). Errors are results
 * (-EINTR), errno is not touched.
 *
 * Programs that link liburing statically, or use its inline code alone, are not seen; rings.c notices.
 *
 * All of them take at most six words and return an int, so one body serves. The head of struct io_uring is read as liburing 2.x lays it
 * out for both kinds of 64-bit machine: its users compile the same layout into themselves.
 */
#include "preload/eintr.h"
#include "preload/shim.h"
#include "os/os.h"

#include <string.h>

struct ring { /* struct io_uring */
	unsigned *head, *tail, *mask, *slots, *flags, *dropped, *array;
	void *entries;
	unsigned entry_head, entry_tail;
	size_t size;
	void *mapping;
	char between[104];
	unsigned setup_flags;
};
_Static_assert(offsetof(struct ring, entry_tail) == 68 && offsetof(struct ring, mapping) == 80 && offsetof(struct ring, setup_flags) == 192,
               "liburing.h, struct io_uring");

/* name, does it take a descriptor in place of a ring, the argument that is a time (-1: none) */
#define FUNCTIONS(X) \
	X(io_uring_submit, false, -1) X(io_uring_submit_and_wait, false, -1) X(io_uring_submit_and_get_events, false, -1) \
	X(io_uring_submit_and_wait_timeout, false, 3) X(io_uring_submit_and_wait_min_timeout, false, 3) X(io_uring_submit_and_wait_reg, false, -1) \
	X(io_uring_wait_cqes, false, 3) X(io_uring_wait_cqes_min_timeout, false, 3) X(io_uring_wait_cqe_timeout, false, 2) \
	X(__io_uring_get_cqe, false, -1) X(io_uring_get_events, false, -1) X(io_uring_enter, true, -1) X(io_uring_enter2, true, -1)

typedef int function(long, long, long, long, long, long);
static int missing(long a, long b, long c, long d, long e, long f) { return -ENOSYS; }

/* liburing may have been opened with RTLD_LOCAL: then it is not behind us in the search order. */
static function *find(const char *name)
{
	static const char *const libraries[] = { "liburing.so.2", "liburing-ffi.so.2", "liburing.so.1" };
	real();
	void *found = lookup_behind(name);
	for (size_t i = 0; i < NELEM(libraries) && !found; i++) {
		void *library = ((__typeof__(&dlopen))real_dlopen)(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
		found = library ? lookup_in(library, name) : NULL;
		if (library)
			real()->dlclose(library);
	}
	return found ? (function *)found : missing;
}

static void look(long first, bool descriptor)
{
	if (descriptor) {
		roots_uring_submits(os_inode((int)first));
		return;
	}
	const struct ring *r = (const struct ring *)first;
	roots_uring_ring((uintptr_t)r->mapping, (uintptr_t)r->entries, r->setup_flags, r->entry_tail);
}

static int through(function *f, bool descriptor, int time, long a[6])
{
	struct eintr_scope scope = EINTR_SCOPE;
	const int saved = errno;
	long copy[2];
	const struct timespec *t = time >= 0 ? (const struct timespec *)a[time] : NULL;
	struct eintr_wait wait = eintr_wait_for(t);
	int r;
	look(a[0], descriptor);
	for (;;) {
		errno = saved;
		eintr_arm(&scope);
		r = f(a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r != -EINTR || !eintr_ours(&scope) || !eintr_resume(&scope))
			break;
		if (t) {
			eintr_rest(&wait);
			copy[0] = wait.left.tv_sec;
			copy[1] = wait.left.tv_nsec;
			a[time] = (long)copy;
		}
	}
	eintr_leave(&scope);
	errno = saved;
	return r;
}

#define X(name, descriptor, time) \
	function name; \
	int name(long a, long b, long c, long d, long e, long f) \
	{ \
		static function *found; \
		if (UNLIKELY(!load_relaxed(&found))) \
			store_relaxed(&found, find(#name)); \
		return through(load_relaxed(&found), descriptor, time, (long[6]){ a, b, c, d, e, f }); \
	}
FUNCTIONS(X)
#undef X
