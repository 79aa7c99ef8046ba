/*
 * The look at what programs write and read: a small write may carry the only pointer to a block (src/roots/flight.h).
 *
 *     flight_before      the buffer lies in this thread's own stack: noted before the call, so that a fast reader finds it
 *     the call
 *     flight_after       any other buffer: looked at now, as far as the kernel took it. Failed: notes are dropped again
 *     flight_read        words that came in are dropped, where the collector sees them from now on: at multiples of 8
 *
 * Another buffer can't be looked at before: the call may be a question whether it is readable, and the answer EFAULT. Behind
 * a call that took bytes it is readable, except that /dev/null and its like take what they never touch; so descriptors of
 * character devices are left alone (flight_copies). Until the call returns the word stands in the buffer, in memory that is scanned.
 *
 * Bounds: what is written is looked at up to FLIGHT_OUT bytes in one call, at every byte; what is read up to FLIGHT_IN bytes, and only
 * while something is in flight. Files keep what is written for ever: no time is right for that, so they are no flight.
 *
 * Not seen: writes inside of libc (stdio; its buffers are heap blocks and keep the last of it), pwrite, sendfile, splice, aio,
 * io_uring, pages given by vmsplice and changed later, a pointer that two writes cut apart, one in a larger write.
 */
#ifndef CGC_PRELOAD_FLIGHT_H
#define CGC_PRELOAD_FLIGHT_H

#include "base/bits.h"
#include "heap/self.h"
#include "roots/flight.h"
#include <sys/socket.h>
#include <sys/uio.h>

enum { FLIGHT_OUT = 512, FLIGHT_IN = 4096 };

/* What `id` is. */
enum flight_by {
	FLIGHT_FD,     /* a descriptor of any kind: fstat tells, should it come to that */
	FLIGHT_SOCKET, /* a descriptor of a socket */
	FLIGHT_MQ,     /* a POSIX queue */
	FLIGHT_SYSV    /* number of a System V queue */
};

/* What flight_before says: these, or the tick at which words were noted, + FLIGHT_NOTED. */
enum { FLIGHT_LATER, FLIGHT_NOTHING, FLIGHT_NOTED };

enum { FLIGHT_KNOWN = 256 };
extern uint32_t flight_known[FLIGHT_KNOWN]; /* atomic: fd + 1 of descriptors that are no character devices, as far as was seen */
bool flight_copies(int fd);                 /* the same, asked of the kernel */

uint32_t flight_out(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes);
void flight_settle(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before);
void flight_in(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes);

/* [p, p + n) is surely readable: it lies between our frame and the top of the known stack we run on. */
static inline bool flight_own_stack(const void *p, size_t n)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0), low = (uintptr_t)p, high = self.stack_high;
	return sp - self.stack_low < high - self.stack_low && low >= sp && low < high && n <= high - low;
}

static inline uint32_t flight_before(enum flight_by by, int id, const void *buf, size_t n)
{
	uintptr_t word;
	if (n - sizeof word > FLIGHT_OUT - sizeof word || !flight.life)
		return FLIGHT_NOTHING;
	if (!flight_own_stack(buf, n))
		return FLIGHT_LATER;
	if (LIKELY(flight_next(buf, n, 0, &word) == n))
		return FLIGHT_NOTHING;
	return flight_out(by, id, &(struct iovec){ (void *)buf, n }, 1, n);
}
/* The vectors too must lie in the stack to be looked at before. */
uint32_t flight_before_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count);
static inline uint32_t flight_before_message(int fd, const struct msghdr *m)
{
	if (!flight.life)
		return FLIGHT_NOTHING;
	return flight_own_stack(m, sizeof *m) ? flight_before_vectors(FLIGHT_SOCKET, fd, m->msg_iov, m->msg_iovlen) : FLIGHT_LATER;
}

/* result: bytes that were taken, or -1. errno stays. */
static inline void flight_after(enum flight_by by, int id, const void *buf, size_t n, ssize_t result, uint32_t before)
{
	uintptr_t word;
	if (before == FLIGHT_NOTHING)
		return;
	if (before == FLIGHT_LATER) {
		n = (size_t)result < n ? (size_t)result : n;
		if (result < (ssize_t)sizeof word || (by == FLIGHT_FD && load_relaxed(&flight_known[(unsigned)id % FLIGHT_KNOWN]) != (uint32_t)id + 1 && !flight_copies(id))
		    || LIKELY(flight_next(buf, n, 0, &word) == n))
			return;
	}
	flight_settle(by, id, &(struct iovec){ (void *)buf, n }, 1, result, before);
}
static inline void flight_after_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before)
{
	if (before != FLIGHT_NOTHING)
		flight_settle(by, id, iov, count, result, before);
}

/* `result` bytes came in, or -1. */
static inline void flight_read(enum flight_by by, int id, const void *buf, size_t n, ssize_t result)
{
	if (UNLIKELY(load_relaxed(&flight.any)) && result >= (ssize_t)sizeof(uintptr_t))
		flight_in(by, id, &(struct iovec){ (void *)buf, n }, 1, (size_t)result);
}
static inline void flight_read_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result)
{
	if (UNLIKELY(load_relaxed(&flight.any)) && result >= (ssize_t)sizeof(uintptr_t))
		flight_in(by, id, iov, count, (size_t)result);
}
/* Receiving with these flags takes nothing out, or copies nothing. */
static inline bool flight_taken(int flags) { return !(flags & (MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE)); }

#endif
