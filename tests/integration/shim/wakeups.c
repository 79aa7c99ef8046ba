/*
 * No signal is lost to a retry: a thread waits in a call that ends by a handler only; when the kernel shows it in that call, a signal
 * is sent at a random moment of the next 300 us, and the call must return EINTR, with the thread's mask as it was. Plain
 * programs always pass. A retry that forgets the signals that came between two waits sleeps on.
 *
 * Also: handlers that leave by siglongjmp, and cancellation, leave the mask that they leave in the plain program.
 *   wakeups [rounds]      rounds of each call, default 1,500
 */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int rounds = 1500;
static int pair[2], epfd;
static int tid, round_begun, round_done, stop_all, hits; /* atomic */
static int wrong_result, wrong_mask;
static sigjmp_buf out;
static int jumping;

static void hit(int sig)
{
	__atomic_fetch_add(&hits, 1, __ATOMIC_SEQ_CST);
	if (jumping == 1)
		siglongjmp(out, 1);
}

static int in_pause(void) { return pause(); }
static int in_sigsuspend(void)
{
	sigset_t none;
	sigemptyset(&none);
	return sigsuspend(&none);
}
static int in_poll(void) { struct pollfd p = { pair[0], POLLIN, 0 }; return poll(&p, 1, -1); }
static int in_poll_timed(void) { return poll(NULL, 0, 20000); }
static int in_ppoll(void)
{
	struct pollfd p = { pair[0], POLLIN, 0 };
	sigset_t none;
	sigemptyset(&none);
	return ppoll(&p, 1, NULL, &none);
}
static int in_select(void)
{
	fd_set s;
	struct timeval t = { 20, 0 };
	FD_ZERO(&s);
	FD_SET(pair[0], &s);
	int r = select(pair[0] + 1, &s, NULL, NULL, &t);
	if (t.tv_sec != 19)
		wrong_result++;
	return r;
}
static int in_epoll(void) { struct epoll_event e; return epoll_wait(epfd, &e, 1, -1); }
static int in_nanosleep(void)
{
	struct timespec t = { 20, 500000000 }, rest = { 0, 0 };
	int r = nanosleep(&t, &rest);
	if (rest.tv_sec != 20)
		wrong_result++;
	return r;
}
static int in_sleep_until(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += 20;
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	return errno ? -1 : 0;
}
static int in_recv(void)
{
	char c;
	return (int)recv(pair[0], &c, 1, 0);
}

static const struct { const char *name; int (*fn)(void); } calls[] = {
	{ "pause", in_pause }, { "sigsuspend", in_sigsuspend }, { "poll", in_poll }, { "poll with a timeout", in_poll_timed },
	{ "ppoll", in_ppoll }, { "select", in_select }, { "epoll_wait", in_epoll }, { "nanosleep", in_nanosleep },
	{ "clock_nanosleep until", in_sleep_until }, { "recv with a timeout", in_recv },
};
static int (*call)(void);

static uint64_t mask_now(void)
{
	uint64_t m = 0;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &m, 8);
	return m;
}

static void *waiter(void *unused)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGWINCH); /* so that the mask is not just empty */
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	uint64_t mask = mask_now();
	__atomic_store_n(&tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (int n = 1; !__atomic_load_n(&stop_all, __ATOMIC_SEQ_CST); n++) {
		volatile int jumped = sigsetjmp(out, 1);
		if (!jumped) {
			__atomic_store_n(&round_begun, n, __ATOMIC_SEQ_CST);
			errno = 77;
			if (call() != -1 || errno != EINTR)
				wrong_result++;
		}
		if (mask_now() != mask)
			wrong_mask++;
		__atomic_store_n(&round_done, n, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&round_done, __ATOMIC_SEQ_CST) >= n)
			sched_yield();
	}
	return NULL;
}

/* Is the thread in a call that waits, and not just in a handler of somebody's? By the number of its system call. */
static int asleep(int fd)
{
	char text[64];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = 0;
	long nr = strtol(text, NULL, 10);
	static const long waits[] = { SYS_pause, SYS_rt_sigsuspend, SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_wait,
		                          SYS_epoll_pwait, SYS_nanosleep, SYS_clock_nanosleep, SYS_recvfrom };
	if (text[0] < '0' || text[0] > '9')
		return 0;
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
		if (nr == waits[i])
			return 1;
	return 0;
}

static unsigned random_next(void)
{
	static uint64_t x = 88172645463325252u;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 20);
}
static void spin_us(double us)
{
	for (double end = now_ms() + us / 1000; now_ms() < end;)
		;
}

/* Result: signals that were lost. */
static int run(int (*fn)(void), int how_many)
{
	pthread_t t;
	char path[64];
	int lost = 0;
	call = fn;
	tid = round_begun = round_done = stop_all = wrong_result = wrong_mask = 0;
	pthread_create(&t, NULL, waiter, NULL);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		sched_yield();
	snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
	int fd = open(path, O_RDONLY);
	for (int n = 1; n <= how_many; n++) {
		while (__atomic_load_n(&round_begun, __ATOMIC_SEQ_CST) < n || !asleep(fd))
			sched_yield();
		spin_us(random_next() % 300);
		if (n == how_many)
			__atomic_store_n(&stop_all, 1, __ATOMIC_SEQ_CST);
		pthread_kill(t, SIGUSR1);
		double end = now_ms() + 3000;
		while (__atomic_load_n(&round_done, __ATOMIC_SEQ_CST) < n)
			if (now_ms() > end) {
				lost++;
				pthread_kill(t, SIGUSR1);
				end = now_ms() + 3000;
			} else
				sched_yield();
		__atomic_store_n(&round_done, n - 1, __ATOMIC_SEQ_CST);
		if (lost > 3)
			how_many = n + 1;
	}
	pthread_join(t, NULL);
	close(fd);
	return lost;
}

static uint64_t mask_at_cleanup;
static void at_cleanup(void *unused) { mask_at_cleanup = mask_now(); }
static void *cancelled(void *unused)
{
	pthread_cleanup_push(at_cleanup, NULL);
	for (;;)
		poll(NULL, 0, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

int main(int argc, char **argv)
{
	char name[100];
	struct sigaction a = { .sa_handler = hit };
	struct timeval tv = { 20, 0 };
	if (argc > 1)
		rounds = atoi(argv[1]);
	sigaction(SIGUSR1, &a, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 99;
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	epfd = epoll_create1(0);
	struct epoll_event e = { EPOLLIN, { .u64 = 1 } };
	epoll_ctl(epfd, EPOLL_CTL_ADD, pair[0], &e);
	for (jumping = 0; jumping < 2; jumping++)
		for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
			int lost = run(calls[i].fn, jumping ? rounds / 5 : rounds);
			snprintf(name, sizeof name, "%s%s: no signal is lost", calls[i].name, jumping ? ", left by siglongjmp" : "");
			CHECK(name, lost == 0);
			snprintf(name, sizeof name, "%s%s: result and mask", calls[i].name, jumping ? ", left by siglongjmp" : "");
			CHECK(name, wrong_result == 0 && wrong_mask == 0);
			if (wrong_result + wrong_mask)
				fprintf(stderr, "  %d wrong results, %d wrong masks\n", wrong_result, wrong_mask);
		}
	int bad = 0;
	for (int i = 0; i < rounds / 5; i++) {
		pthread_t t;
		pthread_create(&t, NULL, cancelled, NULL);
		spin_us(100 + random_next() % 1000);
		pthread_cancel(t);
		pthread_join(t, NULL);
		bad += (mask_at_cleanup & ~(1ull << 31)) != 0; /* glibc cancels in the handler of 32 */
	}
	CHECK("cancellation leaves the mask alone", bad <= rounds / 5 / 20); /* but for a microsecond: eintr.h */
	DONE();
}
