/*
 * Sockets with SO_RCVTIMEO or SO_SNDTIMEO, and transfers that are cut short.
 *
 * 1. A socket call with such a timeout returns EINTR (without one the kernel restarts it). The time can't be given to the call,
 *    so the wrapper first waits in poll for what is left of the timeout, then calls again. Whether a socket has a timeout is
 *    asked only after an EINTR. The start is needed before that; so that reads and writes of programs without timeouts pay
 *    no clock, setsockopt notes that a timeout was ever set. A socket that was inherited with one is measured from the
 *    first interruption.
 * 2. FUSE and some drivers turn any signal into EINTR for read and write: retried too.
 * 3. A blocking write of more than fits into a pipe or socket returns the part that was written when a signal comes, and
 *    recv with MSG_WAITALL the part that was read. Without handlers that never happens to a program, and many do not loop.
 *    When our signal cut it (EINTR_CUT), the wrapper goes on with the rest. On a non-blocking descriptor the
 *    rest gives EAGAIN, and the part is reported as without us.
 *
 * Each of them also tells what it carries (flight.h): before and behind all of its attempts.
 */
#include "preload/eintr.h"
#include "preload/flight.h"
#include <sys/stat.h>

static uint32_t timeouts_seen; /* atomic: a socket timeout was set in this process */

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		store_relaxed(&timeouts_seen, 1);
	return real()->setsockopt(fd, level, name, value, size);
}

struct attempt {
	struct eintr_scope scope;
	int fd;
	int saved;       /* errno at entry */
	int option;      /* SO_RCVTIMEO or SO_SNDTIMEO */
	int timed_out;   /* the error of a call whose timeout ran out */
	uint64_t start;  /* 0: not taken */
};

static inline struct attempt attempt(int fd, int option, int timed_out)
{
	return (struct attempt){ EINTR_SCOPE, fd, errno, option, timed_out, UNLIKELY(load_relaxed(&timeouts_seen)) ? eintr_now() : 0 };
}

/* A Unix socket that waits for room in the listener's queue shows as writable: for connect, poll does not tell when to give up. */
static int connect_timed_out(int fd)
{
	int domain = 0;
	socklen_t size = sizeof domain;
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	return domain == AF_UNIX ? EAGAIN : EINPROGRESS;
}

/* Of the poll before a retry. */
struct readiness {
	struct pollfd p;
	struct eintr_wait wait;
};
static int again_ready(void *p, const sigset_t *own)
{
	struct readiness *r = p;
	return real()->ppoll(&r->p, 1, eintr_rest(&r->wait), own);
}

/* Waits until the socket's timeout has run out or the call is worth another try, with the signals as the program has them. */
static bool wait_ready(struct attempt *a)
{
	struct timeval limit = { 0, 0 };
	socklen_t size = sizeof limit;
	if (getsockopt(a->fd, SOL_SOCKET, a->option, &limit, &size) != 0 || (limit.tv_sec == 0 && limit.tv_usec == 0)) {
		errno = a->saved; /* no socket, or no timeout */
		return eintr_resume(&a->scope);
	}
	if (a->start == 0)
		a->start = eintr_now();
	struct readiness ready = { { a->fd, a->option == SO_RCVTIMEO ? POLLIN : POLLOUT, 0 },
		                       { .deadline = eintr_deadline(a->start, limit.tv_sec, limit.tv_usec * 1000) } };
	int r = a->timed_out == EINPROGRESS && ready.wait.deadline <= eintr_now() ? 0
	        : a->scope.masked ? eintr_masked(&a->scope, a->saved, again_ready, &ready) : -2;
	while (r == -2) {
		eintr_arm(&a->scope);
		r = real()->ppoll(&ready.p, 1, eintr_rest(&ready.wait), NULL);
		if (r == -1 && eintr_hide(&a->scope, a->saved))
			r = a->scope.masked ? eintr_masked(&a->scope, a->saved, again_ready, &ready) : -2;
	}
	if (r == 0)
		errno = a->timed_out == EINPROGRESS ? connect_timed_out(a->fd) : a->timed_out;
	return r > 0;
}

/* The call failed: again? */
static inline bool again(struct attempt *a) { return eintr_hide(&a->scope, a->saved) && wait_ready(a); }

static inline ssize_t ended(struct attempt *a, ssize_t result)
{
	eintr_leave(&a->scope);
	return result;
}

#define RECEIVE(fd, call) __extension__({ \
	struct attempt a_ = attempt(fd, SO_RCVTIMEO, EAGAIN); \
	__typeof__(call) r_; \
	do { \
		eintr_arm(&a_.scope); \
		r_ = (call); \
	} while (UNLIKELY(r_ == -1) && again(&a_)); \
	eintr_leave(&a_.scope); \
	r_; \
})

ssize_t read(int fd, void *buf, size_t n)
{
	ssize_t r = RECEIVE(fd, real()->read(fd, buf, n));
	flight_read(FLIGHT_FD, fd, buf, n, r);
	return r;
}
ssize_t __read(int fd, void *buf, size_t n) __attribute__((alias("read")));
ssize_t readv(int fd, const struct iovec *iov, int n)
{
	ssize_t r = RECEIVE(fd, real()->readv(fd, iov, n));
	flight_read_vectors(FLIGHT_FD, fd, iov, (size_t)n, r);
	return r;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t r = RECEIVE(fd, real()->recvmsg(fd, message, flags));
	if (r > 0 && flight_taken(flags))
		flight_read_vectors(FLIGHT_SOCKET, fd, message->msg_iov, message->msg_iovlen, r);
	return r;
}

int accept(int fd, __SOCKADDR_ARG from, socklen_t *size) { return RECEIVE(fd, real()->accept(fd, from, size)); }
int accept4(int fd, __SOCKADDR_ARG from, socklen_t *size, int flags)
{
	return RECEIVE(fd, real()->accept4(fd, from, size, flags));
}

/* Is this a descriptor whose transfers a signal cuts short? Files on disk and seekable devices finish theirs. */
static bool cut_short(struct attempt *a)
{
	struct stat st;
	if (self.eintr_mine != EINTR_CUT)
		return false;
	bool yes = fstat(a->fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode));
	errno = a->saved;
	if (yes)
		stats_add(&stats.eintr_hidden, 1);
	return yes;
}

static ssize_t receive_from(int fd, void *buf, size_t n, int flags, __SOCKADDR_ARG from, socklen_t *size)
{
	struct attempt a = attempt(fd, SO_RCVTIMEO, EAGAIN);
	size_t done = 0;
	for (;;) {
		eintr_arm(&a.scope);
		ssize_t r = real()->recvfrom(fd, (char *)buf + done, n - done, flags, from, size);
		if (UNLIKELY(r < 0)) {
			if (again(&a))
				continue;
			if (done)
				errno = a.saved;
			return ended(&a, done ? (ssize_t)done : -1);
		}
		done += (size_t)r;
		if (LIKELY((flags & (MSG_WAITALL | MSG_PEEK)) != MSG_WAITALL) || r == 0 || done == n || !cut_short(&a))
			return ended(&a, (ssize_t)done);
	}
}

ssize_t recvfrom(int fd, void *buf, size_t n, int flags, __SOCKADDR_ARG from, socklen_t *size)
{
	ssize_t r = receive_from(fd, buf, n, flags, from, size);
	if (flight_taken(flags))
		flight_read(FLIGHT_SOCKET, fd, buf, n, r);
	return r;
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	if (UNLIKELY(flags & MSG_WAITALL))
		return recvfrom(fd, buf, n, flags, (__SOCKADDR_ARG){ NULL }, NULL);
	ssize_t r = RECEIVE(fd, real()->recv(fd, buf, n, flags));
	if (flight_taken(flags))
		flight_read(FLIGHT_SOCKET, fd, buf, n, r);
	return r;
}

/* When a signal ends recvmmsg behind the first message, the kernel keeps the error for the socket's next call: its own ERESTARTSYS, which
 * programs never see otherwise (do_recvmmsg stores it in sk_err). */
enum { LEFT_BEHIND = 512 };

/* Without MSG_WAITFORONE it waits until every message is there, unless a signal comes. With a timeout of its own a signal
 * ends it in the plain program too, and the time runs from datagram to datagram only; that is left as it is. */
static int receive_messages(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
	struct attempt a = attempt(fd, SO_RCVTIMEO, EAGAIN);
	unsigned done = 0;
	for (;;) {
		eintr_arm(&a.scope);
		int r = real()->recvmmsg(fd, messages + done, n - done, flags, timeout);
		if (r < 0) {
			if (again(&a) || (done && errno == LEFT_BEHIND))
				continue;
			if (done)
				errno = a.saved;
			return (int)ended(&a, done ? (ssize_t)done : -1);
		}
		done += (unsigned)r;
		if (r == 0 || done == n || timeout || (flags & (MSG_WAITFORONE | MSG_DONTWAIT)) || !cut_short(&a))
			return (int)ended(&a, (ssize_t)done);
	}
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
	int r = receive_messages(fd, messages, n, flags, timeout);
	for (int i = 0; i < r && flight_taken(flags); i++)
		flight_read_vectors(FLIGHT_SOCKET, fd, messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen, messages[i].msg_len);
	return r;
}

/* A connect that was interrupted goes on in the kernel; calling again waits for it. */
int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size)
{
	struct attempt a = attempt(fd, SO_SNDTIMEO, EINPROGRESS);
	int r;
	do {
		eintr_arm(&a.scope);
		r = real()->connect(fd, to, size);
	} while (UNLIKELY(r == -1) && again(&a));
	return (int)ended(&a, r);
}
int __connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size) __attribute__((alias("connect")));

/* -- sending: `done` counts what earlier attempts took -- */

/* After one attempt: go on? Else *result is what to return. */
static inline bool send_more(struct attempt *a, ssize_t r, size_t *done, size_t whole, ssize_t *result)
{
	if (UNLIKELY(r < 0)) {
		if (again(a))
			return true;
		if (*done)
			errno = a->saved; /* the next call will tell, as for any short write */
		*result = *done ? (ssize_t)*done : -1;
		return false;
	}
	*done += (size_t)r;
	if (UNLIKELY(*done < whole && r > 0) && cut_short(a))
		return true;
	*result = (ssize_t)*done;
	return false;
}

ssize_t write(int fd, const void *buf, size_t n)
{
	uint32_t before = flight_before(FLIGHT_FD, fd, buf, n);
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	size_t done = 0;
	ssize_t r;
	do {
		eintr_arm(&a.scope);
		r = real()->write(fd, (const char *)buf + done, n - done);
	} while (send_more(&a, r, &done, n, &r));
	ended(&a, r);
	flight_after(FLIGHT_FD, fd, buf, n, r, before);
	return r;
}
ssize_t __write(int fd, const void *buf, size_t n) __attribute__((alias("write")));

ssize_t sendto(int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t size)
{
	uint32_t before = flight_before(FLIGHT_SOCKET, fd, buf, n);
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	size_t done = 0;
	ssize_t r;
	do {
		eintr_arm(&a.scope);
		r = real()->sendto(fd, (const char *)buf + done, n - done, flags, to, size);
	} while (send_more(&a, r, &done, n, &r));
	ended(&a, r);
	flight_after(FLIGHT_SOCKET, fd, buf, n, r, before);
	return r;
}

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	uint32_t before = flight_before(FLIGHT_SOCKET, fd, buf, n);
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	size_t done = 0;
	ssize_t r;
	do {
		eintr_arm(&a.scope);
		r = real()->send(fd, (const char *)buf + done, n - done, flags);
	} while (send_more(&a, r, &done, n, &r));
	ended(&a, r);
	flight_after(FLIGHT_SOCKET, fd, buf, n, r, before);
	return r;
}
ssize_t __send(int fd, const void *buf, size_t n, int flags) __attribute__((alias("send")));

static size_t iov_bytes(const struct iovec *iov, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* The first vector of which something is left behind `done` bytes; *into is how much of it is done. */
static size_t iov_at(const struct iovec *iov, size_t n, size_t done, size_t *into)
{
	size_t i = 0;
	while (i < n && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	*into = done;
	return i;
}

/* The rest of a gathered write that our signal cut (streams only: a datagram is never cut): the vector that was cut by its
 * remaining bytes, then the others as they are. No copy of the vectors: they may be 16 KiB. */
static ssize_t gather_rest(struct attempt *a, const struct iovec *iov, size_t n, size_t done, int flags)
{
	const size_t whole = iov_bytes(iov, n);
	ssize_t r = (ssize_t)done;
	while (done < whole) {
		size_t into, i = iov_at(iov, n, done, &into);
		struct msghdr rest = { .msg_iov = (struct iovec *)iov + i, .msg_iovlen = n - i };
		eintr_arm(&a->scope);
		if (into && flags >= 0)
			r = real()->send(a->fd, (const char *)iov[i].iov_base + into, iov[i].iov_len - into, flags);
		else if (into)
			r = real()->write(a->fd, (const char *)iov[i].iov_base + into, iov[i].iov_len - into);
		else if (flags >= 0)
			r = real()->sendmsg(a->fd, &rest, flags);
		else
			r = real()->writev(a->fd, iov + i, (int)(n - i));
		size_t goal = into ? done + iov[i].iov_len - into : whole;
		if (!send_more(a, r, &done, goal, &r) && (r < 0 || done < goal))
			return r;
	}
	return (ssize_t)done;
}

static ssize_t gather(int fd, const struct iovec *iov, int n)
{
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	ssize_t r;
	do {
		eintr_arm(&a.scope);
		r = real()->writev(fd, iov, n);
	} while (UNLIKELY(r == -1) && again(&a));
	if (UNLIKELY(r > 0 && self.eintr_mine == EINTR_CUT) && (size_t)r < iov_bytes(iov, (size_t)n) && cut_short(&a))
		return ended(&a, gather_rest(&a, iov, (size_t)n, (size_t)r, -1));
	return ended(&a, r);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	uint32_t before = flight_before_vectors(FLIGHT_FD, fd, iov, n < 0 ? 0 : (size_t)n);
	ssize_t r = gather(fd, iov, n);
	flight_after_vectors(FLIGHT_FD, fd, iov, (size_t)n, r, before);
	return r;
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags)
{
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	ssize_t r;
	do {
		eintr_arm(&a.scope);
		r = real()->sendmsg(fd, message, flags);
	} while (UNLIKELY(r == -1) && again(&a));
	if (UNLIKELY(r > 0 && self.eintr_mine == EINTR_CUT) && (size_t)r < iov_bytes(message->msg_iov, message->msg_iovlen)
	    && cut_short(&a))
		return ended(&a, gather_rest(&a, message->msg_iov, message->msg_iovlen, (size_t)r, flags & INT32_MAX));
	return ended(&a, r);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	uint32_t before = flight_before_message(fd, message);
	ssize_t r = send_message(fd, message, flags);
	flight_after_message(fd, message, r, before);
	return r;
}

/* Reports how many messages were sent, in part or whole; callers look at each msg_len and loop anyway. */
static int send_messages(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	struct attempt a = attempt(fd, SO_SNDTIMEO, EAGAIN);
	int r;
	do {
		eintr_arm(&a.scope);
		r = real()->sendmmsg(fd, messages, n, flags);
	} while (UNLIKELY(r == -1) && again(&a));
	return (int)ended(&a, r);
}

/* Messages that were not sent keep their notes: it is not told which of them had any, and the next call sends them as a rule. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	for (unsigned i = 0; i < n && i < UIO_MAXIOV && flight_readable(&messages[i], sizeof messages[i]); i++)
		flight_before_message(fd, &messages[i].msg_hdr);
	return send_messages(fd, messages, n, flags);
}

/* -- glibc's checked names: what _FORTIFY_SOURCE compiles a call with a known buffer into -- */
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return read(fd, buf, n);
}

ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *size)
{
	if (n > room)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, from, size);
}
