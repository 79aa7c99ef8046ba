/*
 * The look at what programs write and read: a small write may carry the only pointer to a block (src/roots/flight.h).
 *
 *     flight_before      what the call is about to write is noted, before a fast reader can have it
 *     the call
 *     flight_after       it failed: the notes are dropped again. It waited long: they begin anew
 *     flight_read        words that came in are dropped, where the collector sees them from now on: at multiples of 8
 *
 * The call may be a question whether the buffer is readable, and the answer EFAULT. So only pages are looked at that surely are: our own
 * stack, and pages that the kernel was asked about once (flight_probe). Calls that take pages away, protect them, or cut off a file, make
 * all of those answers void, those by number (raw.c) too. Behind the call would be no better time: the reader may have unmapped the buffer by then, and
 * /dev/null takes what it never touched.
 *
 * Bounds: what is written is looked at if it is at most FLIGHT_OUT bytes in one call, at every byte; of what is read, FLIGHT_IN bytes, and
 * only while something is in flight. Files keep what is written for ever: no time is right for that, so they are no flight.
 *
 * What goes to a character device (FUSE, usbfs, a GPU) is looked at as a whole, and its words stay until their blocks are freed: such a
 * device hands them back long after. So do arguments of ioctl, by the size that the request names. Terminals and /dev/null are none.
 *
 * Neighbouring parts of a gathered write are looked at as one, for pointers that a seam cuts; of a part above FLIGHT_OUT, its ends.
 *
 * What io_submit and io_uring write is looked at where its requests are (kaio.c, roots/rings.c); what they read drops nothing.
 *
 * Not seen: writes inside of libc (stdio; its buffers are heap blocks and keep the last of it; aio_write), pwrite, sendfile, pages given by vmsplice and changed later, a pointer that two writes cut apart, one in a larger write to what is no device.
 */
#ifndef CGC_PRELOAD_FLIGHT_H
#define CGC_PRELOAD_FLIGHT_H

#include "base/bits.h"
#include "heap/self.h"
#include "roots/flight.h"
#include <sys/socket.h>
#include <sys/uio.h>

enum { FLIGHT_OUT = 512, FLIGHT_IN = 1024 };

/* What `id` is. */
enum flight_by {
	FLIGHT_FD,     /* a descriptor of any kind: fstat tells, should it come to that */
	FLIGHT_SOCKET, /* a descriptor of a socket */
	FLIGHT_MQ,     /* a POSIX queue */
	FLIGHT_SYSV    /* number of a System V queue */
};

/* What flight_before says: the tick at which words were noted, or this: there were none. */
enum { FLIGHT_NOTHING };

/* Pages that were readable in this epoch: 1 | page number (43 bits: addresses below 2^55) | epoch (20). */
enum { FLIGHT_PAGES = 256, FLIGHT_PAGE_SHIFT = 12 };
extern uint64_t flight_pages[FLIGHT_PAGES]; /* atomic */
extern uint32_t flight_epoch;               /* atomic */
bool flight_probe(uintptr_t low, uintptr_t last); /* asks the kernel for the pages of both */
void flight_pages_changed(void);            /* behind a call that may have taken pages away */

int32_t flight_channel_at(int fd); /* for heap_hooks */

/* A large write, once a device has been given a pointer: to one it is looked at as a whole. */
uint32_t flight_large(enum flight_by by, int id, const void *buf, size_t n);
uint32_t flight_out(enum flight_by by, int id, const struct iovec *iov, size_t count);
void flight_settle(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before);
void flight_in(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes);

/* [p, p + n) lies between our frame and the top of the known stack we run on. */
static inline bool flight_own_stack(uintptr_t low, size_t n)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0), high = self.stack_high;
	return sp - self.stack_low < high - self.stack_low && low >= sp && low < high && n <= high - low;
}

static inline uint64_t flight_page_key(uintptr_t p, uint32_t epoch)
{
	return 1ull << 63 | (uint64_t)(p >> FLIGHT_PAGE_SHIFT) << 20 | (epoch & 0xfffff);
}
static inline bool flight_page_known(uintptr_t p)
{
	return load_relaxed(&flight_pages[(p >> FLIGHT_PAGE_SHIFT) % FLIGHT_PAGES]) == flight_page_key(p, load_relaxed(&flight_epoch)) && !(p >> 55);
}

/* 0 < n <= a page. */
static inline bool flight_readable(const void *p, size_t n)
{
	uintptr_t low = (uintptr_t)p, last = low + n - 1;
	return flight_own_stack(low, n) || (LIKELY(flight_page_known(low) && flight_page_known(last))) || flight_probe(low, last);
}

static inline uint32_t flight_before(enum flight_by by, int id, const void *buf, size_t n)
{
	uintptr_t word;
	if (UNLIKELY(n > FLIGHT_OUT && load_relaxed(&flight.devices)))
		return flight_large(by, id, buf, n);
	if (n - sizeof word > FLIGHT_OUT - sizeof word || !flight.life || !flight_readable(buf, n))
		return FLIGHT_NOTHING;
	if (LIKELY(flight_next(buf, n, 0, &word) == n))
		return FLIGHT_NOTHING;
	return flight_out(by, id, &(struct iovec){ (void *)buf, n }, 1);
}
uint32_t flight_before_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count);
uint32_t flight_before_message(int fd, const struct msghdr *message);
void flight_ioctl(int fd, unsigned long request, const void *argument); /* before it */

/* result: bytes that were taken, or -1. errno stays. */
static inline void flight_after(enum flight_by by, int id, const void *buf, size_t n, ssize_t result, uint32_t before)
{
	if (UNLIKELY(before != FLIGHT_NOTHING))
		flight_settle(by, id, &(struct iovec){ (void *)buf, n }, 1, result, before);
}
static inline void flight_after_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before)
{
	if (UNLIKELY(before != FLIGHT_NOTHING))
		flight_settle(by, id, iov, count, result, before);
}
static inline void flight_after_message(int fd, const struct msghdr *message, ssize_t result, uint32_t before)
{
	if (UNLIKELY(before != FLIGHT_NOTHING) && flight_readable(message, sizeof *message))
		flight_settle(FLIGHT_SOCKET, fd, message->msg_iov, message->msg_iovlen, result, before);
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
