/*
 * The slow side of the look (flight.h): something that looks like a pointer is written or read. Also the calls that nothing else
 * here wraps: POSIX queues (the kernel restarts them, so there is no EINTR to hide), vmsplice and tee.
 *
 * fstat tells what a descriptor is. Numbers are closed and used again without a word to us, so the answer is believed until the tick
 * changes (100 ms), and that something is a file, for which nothing is noted, is never believed. What an old answer can do: a word is
 * noted for a pipe that it is not in, and stays for its time, because nobody reads it there.
 */
#include "preload/flight.h"
#include "os/os.h"
#include "preload/real.h"
#include "heap/altered.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { NOT_ASKED = -2, NOT_A_CHANNEL = -1, VECTORS = 1024, SEAM = sizeof(uintptr_t) - 1, PAGE_BYTES = 1 << FLIGHT_PAGE_SHIFT, LONG_WAIT = 4 /* of `life`: the share that a call may have waited */ };

/* Channel of a descriptor by its number, one 64-bit atomic each: tick (20 bits) | number + 1 (24) | channel (20). */
static LARGE uint64_t answers[256];

static uint64_t answer_key(int fd, uint32_t now) { return (uint64_t)(now & 0xfffff) << 44 | (uint64_t)((uint32_t)fd + 1) << 20; }

/* Memory (/dev/null, /dev/zero), terminals and their kin are read by who is there; other devices keep what they are given. */
static bool keeps_words(const struct stat *st)
{
	unsigned kind = major(st->st_rdev);
	return S_ISCHR(st->st_mode) ? kind != 1 && kind != 4 && kind != 5 && !(kind >= 136 && kind <= 143) : !(st->st_mode & S_IFMT);
}

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
	else if (keeps_words(&st))
		channel = FLIGHT_DEVICE;
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		return NOT_A_CHANNEL;
	if (small)
		store_relaxed(answer, key | channel);
	return (int32_t)channel;
}

int32_t flight_channel_at(int fd)
{
	int saved = errno;
	int32_t channel = channel_of(FLIGHT_FD, fd, flight_now());
	errno = saved;
	return channel;
}

/* -- readable pages -- */

LARGE uint64_t flight_pages[FLIGHT_PAGES];
uint32_t flight_epoch;

bool flight_probe(uintptr_t low, uintptr_t last)
{
	uint32_t epoch = load_acquire(&flight_epoch); /* before the question */
	if (os_is_confined()) /* none may be asked: then as libc, which just reads */
		return true;
	for (uintptr_t p = low;; p = last) {
		if (!os_readable(p))
			return false;
		store_relaxed(&flight_pages[(p >> FLIGHT_PAGE_SHIFT) % FLIGHT_PAGES], flight_page_key(p, epoch));
		if (p == last)
			return true;
	}
}

/* Behind the call: whoever asked before or during it asked too early. What a call of libc's own takes away (a thread's stack) is not
 * told, nor that another process cut off a file: such an address must then be given to write within the epoch to do harm. */
void flight_pages_changed(void) { __atomic_fetch_add(&flight_epoch, 1, __ATOMIC_RELEASE); }

/* -- words of a call -- */

enum what { NOTE, READ, UNDO };

/* Each word in the first `bytes` bytes. One that came in at no multiple of 8 is not dropped: the collector would not see it there until
 * the program has unpacked it. false: there is none, or the channel is none. */
static bool each_word(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes, uint32_t now, enum what what)
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
			if (what == NOTE)
				flight_note(word, (uint32_t)channel, now);
			else if (what == UNDO || ((uintptr_t)iov[v].iov_base + at) % sizeof word == 0)
				flight_drop(word, (uint32_t)channel);
		}
		bytes -= n;
	}
	return channel != NOT_ASKED;
}

uint32_t flight_out(enum flight_by by, int id, const struct iovec *iov, size_t count)
{
	int saved = errno;
	uint32_t now = flight_now();
	bool noted = each_word(by, id, iov, count, FLIGHT_OUT, now, NOTE);
	errno = saved;
	return noted ? now : FLIGHT_NOTHING;
}

static bool range_readable(const void *p, size_t n)
{
	const char *at = p;
	for (size_t part; n; at += part, n -= part) {
		part = n < PAGE_BYTES ? n : PAGE_BYTES;
		if (!flight_readable(at, part))
			return false;
	}
	return true;
}

static bool is_large(const struct iovec *v) { return v->iov_len > FLIGHT_OUT; }

/* The vectors are readable, and of what they lead to all that each_joined looks at. */
static bool vectors_readable(const struct iovec *iov, size_t count)
{
	if (count == 0 || count > VECTORS || !range_readable(iov, count * sizeof *iov))
		return false;
	for (size_t v = 0; v < count; v++) {
		const char *base = iov[v].iov_base;
		if (is_large(&iov[v]) ? count > 1 && !(flight_readable(base, SEAM) && flight_readable(base + iov[v].iov_len - SEAM, SEAM))
		                      : iov[v].iov_len && !flight_readable(base, iov[v].iov_len))
			return false;
	}
	return true;
}

/* sure: nobody takes the page away meanwhile. After a call that gave the buffer to a reader somebody may. */
static bool part_copied(uint8_t *to, const uint8_t *from, size_t n, bool sure)
{
	if (!sure)
		return os_read_self(to, (uintptr_t)from, n) == (long)n;
	memcpy(to, from, n);
	return true;
}

/* The parts side by side, as the reader gets them. What was looked at stays in front by its last bytes: no word is counted twice. */
static bool each_joined(enum flight_by by, int id, const struct iovec *iov, size_t count, uint32_t now, enum what what, bool sure)
{
	uint8_t side[2 * FLIGHT_OUT];
	struct iovec one = { side, 0 };
	bool any = false;
	for (size_t v = 0; v < count; v++) {
		struct iovec part;
		if (!part_copied((uint8_t *)&part, (const uint8_t *)&iov[v], sizeof part, sure))
			return any;
		const uint8_t *base = part.iov_base;
		bool large = is_large(&part);
		if (large && count == 1)
			return false;
		size_t head = large ? (size_t)SEAM : part.iov_len;
		if (one.iov_len + head > sizeof side) {
			any |= each_word(by, id, &one, 1, one.iov_len, now, what);
			memmove(side, side + one.iov_len - SEAM, SEAM);
			one.iov_len = SEAM;
		}
		if (!part_copied(side + one.iov_len, base, head, sure))
			return any;
		one.iov_len += head;
		if (large) {
			any |= each_word(by, id, &one, 1, one.iov_len, now, what);
			if (!part_copied(side, base + part.iov_len - SEAM, SEAM, sure))
				return any;
			one.iov_len = SEAM;
		}
	}
	return each_word(by, id, &one, 1, one.iov_len, now, what) || any;
}

uint32_t flight_large(enum flight_by by, int id, const void *buf, size_t n)
{
	int saved = errno;
	uint32_t now = flight_now();
	struct iovec all = { (void *)buf, n };
	bool noted = flight.life && by == FLIGHT_FD && channel_of(by, id, now) == FLIGHT_DEVICE && range_readable(buf, n) &&
	             each_word(by, id, &all, 1, n, now, NOTE);
	errno = saved;
	return noted ? now : FLIGHT_NOTHING;
}

uint32_t flight_before_vectors(enum flight_by by, int id, const struct iovec *iov, size_t count)
{
	if (!flight.life || !vectors_readable(iov, count))
		return FLIGHT_NOTHING;
	int saved = errno;
	uint32_t now = flight_now();
	for (size_t v = 0; v < count && load_relaxed(&flight.devices); v++)
		if (is_large(&iov[v]))
			flight_large(by, id, iov[v].iov_base, iov[v].iov_len);
	bool noted = each_joined(by, id, iov, count, now, NOTE, true);
	errno = saved;
	return noted ? now : FLIGHT_NOTHING;
}

uint32_t flight_before_message(int fd, const struct msghdr *m)
{
	return flight.life && flight_readable(m, sizeof *m) ? flight_before_vectors(FLIGHT_SOCKET, fd, m->msg_iov, m->msg_iovlen) : FLIGHT_NOTHING;
}

/* What waited for long has used up the time of its notes: they are made again, and stay a little longer should somebody have read the
 * words already. Whoever got the message may have unmapped it, and the vectors, at any moment: so both are copied by a call that fails then. */
void flight_settle(enum flight_by by, int id, const struct iovec *iov, size_t count, ssize_t result, uint32_t before)
{
	int saved = errno;
	uint32_t now = flight_now();
	if ((result < 0 || now - before > flight.life / LONG_WAIT) && count <= VECTORS && !os_is_confined())
		each_joined(by, id, iov, count, now, result < 0 ? UNDO : NOTE, false);
	errno = saved;
}

void flight_in(enum flight_by by, int id, const struct iovec *iov, size_t count, size_t bytes)
{
	int saved = errno;
	each_word(by, id, iov, count, bytes < FLIGHT_IN ? bytes : FLIGHT_IN, flight_now(), READ);
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

/* Into a pipe, or out of one: what stood there before is noted needlessly then. */
ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	uint32_t before = flight_before_vectors(FLIGHT_FD, fd, iov, count);
	ssize_t r = real()->vmsplice(fd, iov, count, flags);
	flight_after_vectors(FLIGHT_FD, fd, iov, count, r, before);
	return r;
}

ssize_t tee(int from, int to, size_t n, unsigned flags)
{
	ssize_t r = real()->tee(from, to, n, flags);
	if (r > 0)
		flight_duplicated();
	return r;
}

/* -- counters, vectors with flags, devices -- */

int eventfd_write(int fd, eventfd_t value)
{
	uint32_t before = flight_before(FLIGHT_FD, fd, &value, sizeof value);
	int r = real()->eventfd_write(fd, value);
	flight_after(FLIGHT_FD, fd, &value, sizeof value, r, before);
	return r;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	uint32_t before = flight_before_vectors(FLIGHT_FD, fd, iov, n < 0 ? 0 : (size_t)n);
	ssize_t r = real()->pwritev2(fd, iov, n, at, flags);
	flight_after_vectors(FLIGHT_FD, fd, iov, n < 0 ? 0 : (size_t)n, r, before);
	return r;
}
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags) __attribute__((alias("pwritev2")));

/* The argument itself may be what the device keeps (usbfs: a request block), or what it leads to. */
static void ioctl_told(int fd, unsigned long request, const void *argument)
{
	int saved = errno;
	struct iovec itself = { &argument, sizeof argument };
	uint32_t now = flight_now();
	if (channel_of(FLIGHT_FD, fd, now) == FLIGHT_DEVICE) {
		size_t n = _IOC_SIZE(request);
		each_word(FLIGHT_FD, fd, &itself, 1, sizeof argument, now, NOTE);
		if (n >= sizeof(uintptr_t) && range_readable(argument, n))
			each_word(FLIGHT_FD, fd, &(struct iovec){ (void *)argument, n }, 1, n, now, NOTE);
	}
	errno = saved;
}

/* Most requests lead to no pointer of the heap: these ask nothing of the descriptor. */
static bool ioctl_carries(unsigned long request, const void *argument)
{
	uintptr_t word = (uintptr_t)argument;
	size_t n = _IOC_SIZE(request);
	if (!flight.life)
		return false;
	if (flight_next(&argument, sizeof argument, 0, &word) == 0)
		return true;
	return n >= sizeof word && n <= PAGE_BYTES && argument && flight_readable(argument, n) && flight_next(argument, n, 0, &word) < n;
}

/* UFFDIO_REGISTER with its first two fields: from here on faults in [start, start + size) are for the program to serve. */
static const unsigned long UFFD_REGISTER = 0xC020AA00ul;
struct uffd_range {
	uint64_t start, size;
};

void flight_ioctl(int fd, unsigned long request, const void *argument)
{
	const struct uffd_range *served = argument;
	if (UNLIKELY(request == UFFD_REGISTER) && flight_readable(served, sizeof *served))
		heap_pages_served(served->start, served->start + served->size);
	if (UNLIKELY(ioctl_carries(request, argument)))
		ioctl_told(fd, request, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list more;
	va_start(more, request);
	void *argument = va_arg(more, void *);
	va_end(more);
	flight_ioctl(fd, request, argument);
	return real()->ioctl(fd, request, argument);
}
