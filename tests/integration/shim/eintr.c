/* Every call that returns EINTR in spite of SA_RESTART: runs for its whole time, with its own result, errno untouched (77). */
#include "check.h"
#include <aio.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <threads.h>

enum { MS = 60 };
static const struct timespec span = { 0, MS * 1000000 };

static struct timespec after(clockid_t c)
{
	struct timespec t;
	clock_gettime(c, &t);
	t.tv_nsec += MS * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

static void sleeping(void)
{
	int r;
	unsigned u;
	struct timespec rest = { 5, 5 }, t = span;
	TIMED(r = nanosleep(&span, &rest));
	CHECK("nanosleep", r == 0 && errno == 77 && TOOK(MS) && rest.tv_sec == 5);
	TIMED(r = nanosleep(&t, &t));
	CHECK("nanosleep onto itself", r == 0 && TOOK(MS) && t.tv_nsec == span.tv_nsec);
	TIMED(r = clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &rest));
	CHECK("clock_nanosleep", r == 0 && errno == 77 && TOOK(MS));
	t = after(CLOCK_REALTIME);
	TIMED(r = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));
	CHECK("clock_nanosleep until", r == 0 && took_ms > MS - 5 && took_ms < MS * 3);
	TIMED(r = usleep(MS * 1000));
	CHECK("usleep", r == 0 && errno == 77 && TOOK(MS));
	TIMED(u = sleep(1));
	CHECK("sleep", u == 0 && errno == 77 && TOOK(1000));
	TIMED(r = thrd_sleep(&span, NULL));
	CHECK("thrd_sleep", r == 0 && TOOK(MS));
	struct timespec bad = { 0, 1000000000 }, negative = { -1, 0 };
	CHECK("nanosleep invalid", nanosleep(&bad, NULL) == -1 && errno == EINVAL && nanosleep(&negative, NULL) == -1 && errno == EINVAL);
	CHECK("clock_nanosleep invalid", clock_nanosleep(12345, 0, &span, NULL) == EINVAL && thrd_sleep(&bad, NULL) == -2);
}

static void polling(void)
{
	int r, p[2];
	if (pipe(p))
		exit(99);
	struct pollfd f = { p[0], POLLIN, 0 };
	struct timeval tv = { 0, MS * 1000 };
	fd_set set;
	TIMED(r = poll(&f, 1, MS));
	CHECK("poll", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = poll(&f, 1, 0));
	CHECK("poll at once", r == 0 && took_ms < 30);
	TIMED(r = ppoll(&f, 1, &span, NULL));
	CHECK("ppoll", r == 0 && errno == 77 && TOOK(MS));
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	TIMED(r = select(p[0] + 1, &set, NULL, NULL, &tv));
	CHECK("select", r == 0 && errno == 77 && TOOK(MS) && !FD_ISSET(p[0], &set) && tv.tv_sec == 0 && tv.tv_usec == 0);
	FD_SET(p[0], &set);
	TIMED(r = pselect(p[0] + 1, &set, NULL, NULL, &span, NULL));
	CHECK("pselect", r == 0 && errno == 77 && TOOK(MS));
	tv = (struct timeval){ 0, -1 };
	CHECK("select invalid", select(0, NULL, NULL, NULL, &tv) == -1 && errno == EINVAL);
	int e = epoll_create1(0);
	struct epoll_event ev = { EPOLLIN, { .u64 = 1 } }, got;
	epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev);
	TIMED(r = epoll_wait(e, &got, 1, MS));
	CHECK("epoll_wait", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = epoll_pwait(e, &got, 1, MS, NULL));
	CHECK("epoll_pwait", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = epoll_pwait2(e, &got, 1, &span, NULL));
	CHECK("epoll_pwait2", r == 0 && errno == 77 && TOOK(MS));
	CHECK("epoll_wait invalid", epoll_wait(e, &got, 0, MS) == -1 && errno == EINVAL);
	close(e);
	close(p[0]);
	close(p[1]);
}

/* Somebody who acts after MS. */
static void *later(void *fn)
{
	struct timespec t = span;
	nanosleep(&t, NULL);
	((void (*)(void))fn)();
	return NULL;
}
static pthread_t start(void (*fn)(void))
{
	pthread_t t;
	pthread_create(&t, NULL, later, (void *)fn);
	return t;
}

static int pair[2], sem_id, msg_id;
static sem_t sem;
static void do_write(void) { if (write(pair[1], "x", 1) != 1) abort(); }
static void do_post(void) { sem_post(&sem); }
static void do_semop(void) { struct sembuf b = { 0, 1, 0 }; semop(sem_id, &b, 1); }
static void do_send(void) { struct { long t; char c[4]; } m = { 1, "abc" }; msgsnd(msg_id, &m, 4, 0); }
static void do_kill(void) { kill(getpid(), SIGUSR2); }

static void waiting(void)
{
	int r;
	struct timespec t;
	pthread_t th;
	sem_init(&sem, 0, 0);
	t = after(CLOCK_REALTIME);
	TIMED(r = sem_timedwait(&sem, &t));
	CHECK("sem_timedwait", r == -1 && errno == ETIMEDOUT && took_ms > MS - 5);
	t = after(CLOCK_MONOTONIC);
	TIMED(r = sem_clockwait(&sem, CLOCK_MONOTONIC, &t));
	CHECK("sem_clockwait", r == -1 && errno == ETIMEDOUT && TOOK(MS));
	th = start(do_post);
	TIMED(r = sem_wait(&sem));
	CHECK("sem_wait", r == 0 && errno == 77 && took_ms > MS / 2);
	pthread_join(th, NULL);

	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	TIMED(r = sigtimedwait(&set, &info, &span));
	CHECK("sigtimedwait", r == -1 && errno == EAGAIN && TOOK(MS));
	th = start(do_kill);
	TIMED(r = sigwaitinfo(&set, &info));
	CHECK("sigwaitinfo", r == SIGUSR2 && errno == 77 && took_ms > MS / 2);
	pthread_join(th, NULL);
	th = start(do_kill);
	int which = 0;
	TIMED(r = sigwait(&set, &which));
	CHECK("sigwait", r == 0 && which == SIGUSR2);
	pthread_join(th, NULL);

	sem_id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf down = { 0, -1, 0 };
	TIMED(r = semtimedop(sem_id, &down, 1, &span));
	CHECK("semtimedop", r == -1 && errno == EAGAIN && TOOK(MS));
	th = start(do_semop);
	TIMED(r = semop(sem_id, &down, 1));
	CHECK("semop", r == 0 && errno == 77 && took_ms > MS / 2);
	pthread_join(th, NULL);
	semctl(sem_id, 0, IPC_RMID);
	msg_id = msgget(IPC_PRIVATE, 0600);
	struct { long t; char c[4]; } m;
	th = start(do_send);
	TIMED(r = (int)msgrcv(msg_id, &m, 4, 0, 0));
	CHECK("msgrcv", r == 4 && errno == 77 && took_ms > MS / 2);
	pthread_join(th, NULL);
	msgctl(msg_id, IPC_RMID, NULL);

	int p[2];
	char c;
	if (pipe(p))
		exit(99);
	struct aiocb cb = { .aio_fildes = p[0], .aio_buf = &c, .aio_nbytes = 1 };
	const struct aiocb *list[1] = { &cb };
	aio_read(&cb);
	TIMED(r = aio_suspend(list, 1, &span));
	CHECK("aio_suspend", r == -1 && errno == EAGAIN && TOOK(MS));
	if (write(p[1], "x", 1) != 1)
		abort();
	CHECK("aio_suspend done", aio_suspend(list, 1, NULL) == 0 && aio_return(&cb) == 1);
}

static char big[1 << 20], sink[1 << 20];
static int drain_fd;
static size_t drained;
static void *drain(void *slow)
{
	ssize_t n;
	struct timespec t = { 0, 500000 };
	drained = 0;
	while ((n = read(drain_fd, sink, 8192)) > 0) {
		drained += (size_t)n;
		nanosleep(&t, NULL);
	}
	return NULL;
}

static void sockets(void)
{
	ssize_t r;
	char c[8];
	pthread_t th;
	struct timeval tv = { 0, MS * 1000 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		exit(99);
	th = start(do_write);
	TIMED(r = recv(pair[0], c, 1, 0));
	CHECK("recv", r == 1 && errno == 77);
	pthread_join(th, NULL);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	TIMED(r = recv(pair[0], c, 1, 0));
	CHECK("recv with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = read(pair[0], c, 1));
	CHECK("read with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = recvfrom(pair[0], c, 1, 0, NULL, NULL));
	CHECK("recvfrom with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	struct iovec iov = { c, 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	TIMED(r = recvmsg(pair[0], &h, 0));
	CHECK("recvmsg with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = readv(pair[0], &iov, 1));
	CHECK("readv with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	th = start(do_write);
	tv.tv_sec = 1;
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	TIMED(r = recv(pair[0], c, 1, 0));
	CHECK("recv within a timeout", r == 1 && errno == 77 && took_ms < 500);
	pthread_join(th, NULL);
	tv.tv_sec = 0;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	while (send(pair[1], big, 4096, MSG_DONTWAIT) > 0)
		;
	TIMED(r = send(pair[1], c, 1, 0));
	CHECK("send with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = write(pair[1], big, 4096));
	CHECK("write with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = sendmsg(pair[1], &h, 0));
	CHECK("sendmsg with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	close(pair[0]);
	close(pair[1]);

	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(l, (struct sockaddr *)&a, sizeof a) || listen(l, 1))
		exit(99);
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	TIMED(r = accept(l, NULL, NULL));
	CHECK("accept with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	TIMED(r = accept4(l, NULL, NULL, SOCK_CLOEXEC));
	CHECK("accept4 with a timeout", r == -1 && errno == EAGAIN && TOOK(MS));
	close(l);

	int u = socket(AF_UNIX, SOCK_STREAM, 0), fd[8];
	struct sockaddr_un ua = { .sun_family = AF_UNIX };
	if (bind(u, (struct sockaddr *)&ua, sizeof(sa_family_t)) || listen(u, 0))
		exit(99);
	socklen_t n = sizeof ua;
	getsockname(u, (struct sockaddr *)&ua, &n);
	fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd[0], (struct sockaddr *)&ua, n);
	fd[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	TIMED(r = connect(fd[1], (struct sockaddr *)&ua, n));
	CHECK("connect with a timeout", r == -1 && (errno == EAGAIN || errno == EINPROGRESS) && TOOK(MS));
	close(u);
	close(fd[0]);
	close(fd[1]);
}

/* Much written to a slow reader: all of it is taken by one call. */
static void whole_transfers(void)
{
	int p[2];
	ssize_t r;
	pthread_t th;
	for (int kind = 0; kind < 3; kind++) {
		if (kind ? socketpair(AF_UNIX, SOCK_STREAM, 0, p) : pipe(p))
			exit(99);
		drain_fd = p[0];
		pthread_create(&th, NULL, drain, NULL);
		struct iovec iov[3] = { { big, 300000 }, { big, 1 }, { big, 300000 } };
		struct msghdr h = { .msg_iov = iov, .msg_iovlen = 3 };
		if (kind == 0)
			TIMED(r = write(p[1], big, 600001));
		else if (kind == 1)
			TIMED(r = writev(p[1], iov, 3));
		else
			TIMED(r = sendmsg(p[1], &h, 0));
		close(p[1]);
		pthread_join(th, NULL);
		CHECK(kind == 0 ? "write to a pipe, whole" : kind == 1 ? "writev, whole" : "sendmsg, whole",
		      r == 600001 && errno == 77 && drained == 600001);
		close(p[0]);
	}
}

int main(void)
{
	sleeping();
	polling();
	waiting();
	sockets();
	whole_transfers();
	DONE();
}
