/*
 * The kernel's asynchronous input and output: libaio's functions, and what raw.c tells of the system calls under them.
 *
 * From its submission on, the kernel alone may hold a block's address, its data word and its buffers, until its event is fetched. An
 * event may be fetched by another thread before the submitting call returns: so blocks are told before it, and what the kernel did not
 * take is dropped after it. Memory that may be unreadable is the kernel's to refuse: it is read without faulting.
 *
 * libaio makes its system calls itself, and fetches events from a ring without one: hence the wrappers. They return -errno and leave
 * errno alone. Where libaio is not to be found behind us (opened by dlopen with RTLD_LOCAL), the system call does the same.
 */
#include "preload/eintr.h"
#include "preload/shim.h"
#include "os/os.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>

static uint64_t key_of(uint64_t context, uint64_t block) { return block ^ context << 20; }

static void ended(uint64_t context, uint64_t block)
{
	struct kernel_row row;
	while (roots_kernel_take(KERNEL_IOCB, key_of(context, block), &row))
		;
}

static void tell_iocb(uint64_t context, uintptr_t block)
{
	struct iocb b = { .aio_data = 0 };
	struct iovec v = { NULL, 0 };
	if (os_read_self(&b, block, sizeof b) != (long)sizeof b)
		return;
	struct kernel_row row = { .key = key_of(context, block), .context = context, .kind = KERNEL_IOCB,
		                      .words = { block, b.aio_data, b.aio_buf } };
	roots_kernel_add(&row);
	if (b.aio_lio_opcode == IOCB_CMD_PWRITE) /* its words stay in the pipe when the event is fetched */
		flight_before(FLIGHT_FD, (int)b.aio_fildes, (const void *)(uintptr_t)b.aio_buf, b.aio_nbytes);
	if (b.aio_lio_opcode != IOCB_CMD_PREADV && b.aio_lio_opcode != IOCB_CMD_PWRITEV)
		return;
	if (b.aio_lio_opcode == IOCB_CMD_PWRITEV)
		flight_before_vectors(FLIGHT_FD, (int)b.aio_fildes, (const struct iovec *)(uintptr_t)b.aio_buf, b.aio_nbytes);
	for (uint64_t i = 0; i < b.aio_nbytes && i < UIO_MAXIOV; i++) { /* their number; the kernel takes no more */
		if (os_read_self(&v, b.aio_buf + i * sizeof v, sizeof v) != (long)sizeof v)
			return;
		row.words[0] = row.words[1] = 0;
		row.words[2] = (uintptr_t)v.iov_base;
		roots_kernel_add(&row);
	}
}

void tell_iocbs(uint64_t context, long n, const uintptr_t *list)
{
	uintptr_t block = 0;
	bool own = identity_own();
	for (long i = 0; own && i < n && os_read_self(&block, (uintptr_t)(list + i), sizeof block) == (long)sizeof block; i++)
		tell_iocb(context, block);
}

void tell_iocbs_refused(uint64_t context, long taken, long n, const uintptr_t *list)
{
	uintptr_t block = 0;
	bool own = identity_own();
	for (long i = taken; own && i < n && os_read_self(&block, (uintptr_t)(list + i), sizeof block) == (long)sizeof block; i++)
		ended(context, block);
}

void tell_events(uint64_t context, long n, const struct io_event *events)
{
	for (long i = 0; i < n; i++)
		ended(context, events[i].obj);
}

/* The address of a context may be given out anew as soon as it is destroyed: its rows are set aside before. */
void tell_context_ends(uint64_t context)
{
	if (identity_own())
		roots_kernel_context(context, context | 1);
}

void tell_context_ended(uint64_t context, bool done)
{
	if (identity_own())
		roots_kernel_context(context | 1, done ? 0 : context);
}

/* -- libaio -- */

int io_submit(aio_context_t context, long n, struct iocb **list);
int io_getevents(aio_context_t context, long least, long n, struct io_event *events, struct timespec *timeout);
int io_pgetevents(aio_context_t context, long least, long n, struct io_event *events, struct timespec *timeout, sigset_t *mask);
int io_cancel(aio_context_t context, struct iocb *block, struct io_event *event);
int io_destroy(aio_context_t context);

/* The function behind us, looked up at each first use of its kind: libaio may come late. */
#define BEHIND(name) __extension__({ \
	static __typeof__(&name) found_; \
	if (!load_relaxed(&found_)) \
		store_relaxed(&found_, (__typeof__(&name))lookup_behind(#name)); \
	load_relaxed(&found_); \
})

/* A system call as libaio makes it. */
static int direct(long n, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long r = real_syscall(n, a, b, c, d, e, f);
	if (r < 0) {
		r = -errno;
		errno = saved;
	}
	return (int)r;
}

int io_submit(aio_context_t context, long n, struct iocb **list)
{
	real();
	__typeof__(&io_submit) behind = BEHIND(io_submit);
	tell_iocbs(context, n, (const uintptr_t *)list);
	int r = behind ? behind(context, n, list) : direct(SYS_io_submit, (long)context, n, (long)list, 0, 0, 0);
	KEEPING_ERRNO(tell_iocbs_refused(context, r > 0 ? r : 0, n, (const uintptr_t *)list));
	return r;
}

int io_getevents(aio_context_t context, long least, long n, struct io_event *events, struct timespec *timeout)
{
	struct eintr_scope scope = EINTR_SCOPE;
	struct eintr_wait wait = eintr_wait_for(timeout);
	int r;
	real();
	__typeof__(&io_getevents) behind = BEHIND(io_getevents);
	for (const struct timespec *next = timeout;; next = eintr_rest(&wait)) {
		eintr_arm(&scope);
		r = behind ? behind(context, least, n, events, (struct timespec *)next)
		           : direct(SYS_io_getevents, (long)context, least, n, (long)events, (long)next, 0);
		int saved = errno;
		bool more = r == -EINTR && eintr_ours(&scope) && eintr_resume(&scope);
		errno = saved;
		if (!more)
			break;
	}
	eintr_leave(&scope);
	KEEPING_ERRNO(tell_events(context, r, events));
	return r;
}

/* With a mask, as the program wants it, a signal may end the wait early: the caller goes round. */
int io_pgetevents(aio_context_t context, long least, long n, struct io_event *events, struct timespec *timeout, sigset_t *mask)
{
	struct { const sigset_t *mask; size_t size; } with = { mask, 8 };
	real();
	__typeof__(&io_pgetevents) behind = BEHIND(io_pgetevents);
	int r = behind ? behind(context, least, n, events, timeout, mask)
	               : direct(SYS_io_pgetevents, (long)context, least, n, (long)events, (long)timeout, (long)&with);
	KEEPING_ERRNO(tell_events(context, r, events));
	return r;
}

int io_cancel(aio_context_t context, struct iocb *block, struct io_event *event)
{
	real();
	__typeof__(&io_cancel) behind = BEHIND(io_cancel);
	int r = behind ? behind(context, block, event) : direct(SYS_io_cancel, (long)context, (long)block, (long)event, 0, 0, 0);
	if (r == 0)
		KEEPING_ERRNO(ended(context, (uintptr_t)block));
	return r;
}

int io_destroy(aio_context_t context)
{
	real();
	__typeof__(&io_destroy) behind = BEHIND(io_destroy);
	tell_context_ends(context);
	int r = behind ? behind(context) : direct(SYS_io_destroy, (long)context, 0, 0, 0, 0, 0);
	KEEPING_ERRNO(tell_context_ended(context, r == 0));
	return r;
}
