/*
 * The slow side of the look (flight.h): something that looks like a pointer is written or read. Also the calls that nothing else
 * here wraps: POSIX queues (the kernel restarts them, so there is no EINTR to hide), vmsplice and tee.
 *
 * fstat tells what a descriptor is. Numbers are closed and used again without a word to us, so the answer is believed until the tick
 * changes (100 ms), and that something is a file, for which nothing is noted, is never believed. What an old answer can do: a word is
 * noted for a pipe that it is not in, and stays for its time, because nobody reads it there.
 */
#include "preload/flight.h"
#include "preload/real.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { NOT_ASKED = -2, NOT_A_CHANNEL = -1, VECTORS = 8, LONG_WAIT = 4 /* of `life`: the share that a call may have waited */ };

/* Channel of a descriptor by its number, one 64-bit atomic each: tick (20 bits) | number + 1 (24) | channel (20). */
static uint64_t answers[256];

static uint64_t answer_key(int fd, uint32_t now) { return (uint64_t)(now & 0xfffff) << 44 | (uint64_t)((uint32_t)fd + 1) << 20; }

/* The channel that `id` is, as roots/flight.h counts them, or NOT_A_CHANNEL: files keep what is written. */
static int32_t channel_of(enum flight_by by, int id, uint32_t now)
{
	struct stat st;
	if (by == FLIGHT_SOCKET)
		return FLIGHT_SOCKETS;
	if (by == FLIGHT_SYSV)
		return (int32_t)flight_channel(~0ull, (uint64_t)id);
	uint64_t *answer = &answers[(unsigned)id % NELEM(answers)], key = answer_key(id, now), known = load_relaxed(answer);
	bool small = (unsigned)id < (1u << 24) - 1;
	if (small && (known & ~0xfffffull) == key)
		return (int32_t)(known & 0xfffff);
	uint32_t channel = FLIGHT_KEPT;
	if (fstat(id, &st) != 0)
		return FLIGHT_KEPT;
	if (S_ISFIFO(st.st_mode) || by == FLIGHT_MQ)
		channel = flight_channel(st.st_dev, st.st_ino);
	else if (S_ISSOCK(st.st_mode))
		channel = FLIGHT_SOCKETS;
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		return NOT_A_CHANNEL;
	if (small)
		store_relaxed(answer, key | channel);
	return (int32_t)channel;
}

/* Did a write to this descriptor surely read its buffer? Asked once for a number; should it be /dev/null the next time, that is no matter
 * unless the program also gives it a buffer that can't be read. */
uint32_t flight_known[FLIGHT_KNOWN];
bool flight_copies(int fd)
{
	struct stat st;
	uint32_t *at = &flight_known[(unsigned)fd % FLIGHT_KNOWN];
	if (LIKELY(load_relaxed(at) == (uint32_t)fd + 1))
		return true;
	int saved = errno;
	bool yes = fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode);
	errno = saved;
	if (yes)
		store_relaxed(at, (uint32_t)fd + 1);
	return yes;
}

/* Each word in the first `bytes` bytes: noted now, or dropped again. false: there is none, or the channel is none. One that came in
 * at no multiple of 8 is not dropped: the collector would not see it there until the program has unpacked it. */
static bool each_word(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes, uint32_t now, bool in)
{
	int32_t channel = NOT_ASKED;
	for (size_t v = 0; v < count && bytes >= sizeof(uintptr_t); v++) {
		size_t n = iov[v].iov_len < bytes ? iov[v].iov_len : bytes;
		uintptr_t word;
		for (size_t at = 0; (at = flight_next(iov[v].iov_base, n, at, &word)) < n; at++) {
			if (channel == NOT_ASKED)
				channel = channel_of(by, id, now);
			if (channel == NOT_A_CHANNEL)
				return false;
			if (in && ((uintptr_t)iov[v].iov_base + at) % sizeof word == 0)
				flight_drop(word, (uint32_t)channel);
			else if (!in)
				flight_note(word, (uint32_t)channel, now);
		}
		bytes -= n;
	}
	return channel != NOT_ASKED;
}

uint32_t flight_out(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes)
{
	int saved = errno;
	uint32_t now = flight_now();
	bool noted = each_word(by, id, iov, count, bytes, now, false);
	errno = saved;
	return noted ? now + FLIGHT_NOTED : FLIGHT_NOTHING;
}

uint32_t flight_before_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count)
{
	size_t bytes = 0;
	if (!flight.life || count == 0)
		return FLIGHT_NOTHING;
	if (count > VECTORS || !flight_own_stack(iov, count * sizeof *iov))
		return FLIGHT_LATER;
	for (size_t v = 0; v < count; v++) {
		if (iov[v].iov_len > FLIGHT_OUT || (iov[v].iov_len && !flight_own_stack(iov[v].iov_base, iov[v].iov_len)))
			return FLIGHT_LATER;
		bytes += iov[v].iov_len;
	}
	return bytes > FLIGHT_OUT ? FLIGHT_LATER : flight_out(by, id, iov, count, bytes);
}

/*
 * A call that waited long has used up the time of its notes: they are made again, and stay a little longer should somebody have read
 * the words already.
 */
void flight_settle(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before)
{
	int saved = errno;
	uint32_t now = flight_now();
	if (before == FLIGHT_LATER) {
		if (result >= (ssize_t)sizeof(uintptr_t) && result <= FLIGHT_OUT && (by != FLIGHT_FD || flight_copies(id)))
			each_word(by, id, iov, count, (size_t)result, now, false);
	} else if (result < 0) {
		each_word(by, id, iov, count, FLIGHT_OUT, now, true);
	} else if (now + FLIGHT_NOTED - before > flight.life / LONG_WAIT) {
		each_word(by, id, iov, count, FLIGHT_OUT, now, false);
	}
	errno = saved;
}

void flight_in(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes)
{
	int saved = errno;
	each_word(by, id, iov, count, bytes < FLIGHT_IN ? bytes : FLIGHT_IN, flight_now(), true);
	errno = saved;
}

/* -- POSIX queues -- */

int mq_timedsend(mqd_t queue, const char *message, size_t n, unsigned priority, const struct timespec *until)
{
	uint32_t before = flight_before(FLIGHT_MQ, queue, message, n);
	int r = real()->mq_timedsend(queue, message, n, priority, until);
	flight_after(FLIGHT_MQ, queue, message, n, r == 0 ? (ssize_t)n : -1, before);
	return r;
}

int mq_send(mqd_t queue, const char *message, size_t n, unsigned priority)
{
	uint32_t before = flight_before(FLIGHT_MQ, queue, message, n);
	int r = real()->mq_send(queue, message, n, priority);
	flight_after(FLIGHT_MQ, queue, message, n, r == 0 ? (ssize_t)n : -1, before);
	return r;
}

ssize_t mq_timedreceive(mqd_t queue, char *message, size_t n, unsigned *priority, const struct timespec *until)
{
	ssize_t r = real()->mq_timedreceive(queue, message, n, priority, until);
	flight_read(FLIGHT_MQ, queue, message, n, r);
	return r;
}

ssize_t mq_receive(mqd_t queue, char *message, size_t n, unsigned *priority)
{
	ssize_t r = real()->mq_receive(queue, message, n, priority);
	flight_read(FLIGHT_MQ, queue, message, n, r);
	return r;
}

/* -- pages and copies in pipes -- */

/* Into a pipe, or out of one: what came out is noted needlessly then. */
ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	ssize_t r = real()->vmsplice(fd, iov, count, flags);
	if (flight.life)
		flight_after_vectors(FLIGHT_FD, fd, iov, count, r, FLIGHT_LATER);
	return r;
}

ssize_t tee(int from, int to, size_t n, unsigned flags)
{
	ssize_t r = real()->tee(from, to, n, flags);
	if (r > 0)
		flight_duplicated();
	return r;
}
