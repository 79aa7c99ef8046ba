/* syscall(): results, errno, the six arguments, calls that return EINTR in spite of SA_RESTART, and clone
 * without a new stack. (vfork by syscall() breaks plain programs too: the child returns over the parent's return address.) */
#include "check.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MS = 60 };
static const struct timespec span = { 0, MS * 1000000 };

static void plain(void)
{
	errno = 77;
	CHECK("getpid", syscall(SYS_getpid) == getpid() && errno == 77);
	CHECK("errno", syscall(SYS_close, -1) == -1 && errno == EBADF);
	CHECK("no such number", syscall(1000000) == -1 && errno == ENOSYS);
	CHECK("negative number", syscall(-5) == -1 && errno == ENOSYS);
	void *p = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK("six arguments", p != MAP_FAILED && *(char *)p == 0);
	uint32_t word = 1;
	CHECK("futex that differs", syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EAGAIN);
	CHECK("bad address", syscall(SYS_nanosleep, (void *)8, NULL) == -1 && errno == EFAULT);
}

static void waiting(void)
{
	long r;
	uint32_t word = 0;
	struct timespec t = span, rest = { 5, 5 };
	struct pollfd none = { .fd = -1 };
	struct timeval tv = { 0, MS * 1000 };
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	TIMED(r = syscall(SYS_nanosleep, &span, &rest));
	CHECK("nanosleep", r == 0 && errno == 77 && TOOK(MS) && rest.tv_sec == 5);
	TIMED(r = syscall(SYS_nanosleep, &t, &t));
	CHECK("nanosleep onto itself", r == 0 && TOOK(MS) && t.tv_nsec == span.tv_nsec);
	TIMED(r = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &span, NULL));
	CHECK("clock_nanosleep", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &span, NULL, 0));
	CHECK("futex", r == -1 && errno == ETIMEDOUT && TOOK(MS));
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (t.tv_nsec + MS * 1000000) / 1000000000;
	t.tv_nsec = (t.tv_nsec + MS * 1000000) % 1000000000;
	TIMED(r = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY));
	CHECK("futex until", r == -1 && errno == ETIMEDOUT && took_ms > MS - 5 && took_ms < MS * 3);
#ifdef SYS_poll
	TIMED(r = syscall(SYS_poll, &none, 1, MS));
	CHECK("poll", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
	CHECK("select", r == 0 && errno == 77 && TOOK(MS));
	struct timeval longer = { 0, 400000 }; /* stops take most of it at a high rate: they count */
	TIMED(r = syscall(SYS_select, 0, NULL, NULL, NULL, &longer));
	CHECK("select, longer", r == 0 && TOOK(400));
	t = (struct timespec){ 0, 400000000 };
	TIMED(r = syscall(SYS_ppoll, &none, 1, &t, NULL, 8));
	CHECK("ppoll, longer", r == 0 && TOOK(400));
	TIMED(r = syscall(SYS_epoll_wait, set, &event, 1, MS));
	CHECK("epoll_wait", r == 0 && errno == 77 && TOOK(MS));
#endif
	t = span;
	TIMED(r = syscall(SYS_ppoll, &none, 1, &t, NULL, 8));
	CHECK("ppoll", r == 0 && errno == 77 && TOOK(MS));
	t = span;
	TIMED(r = syscall(SYS_pselect6, 0, NULL, NULL, NULL, &t, NULL));
	CHECK("pselect6", r == 0 && errno == 77 && TOOK(MS));
	TIMED(r = syscall(SYS_epoll_pwait, set, &event, 1, MS, NULL, 8));
	CHECK("epoll_pwait", r == 0 && errno == 77 && TOOK(MS));
	sigset_t usr1;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	TIMED(r = syscall(SYS_rt_sigtimedwait, &usr1, NULL, &span, 8));
	CHECK("rt_sigtimedwait", r == -1 && errno == EAGAIN && TOOK(MS));
	close(set);
	(void)tv;
}

static void handled(int number) { (void)number; }

static void own_signals(void)
{
	struct itimerspec in = { { 0, 0 }, span };
	timer_t timer;
	uint64_t none = 0;
	long r;
	struct sigaction act = { .sa_handler = handled, .sa_flags = SA_RESTART };
	sigaction(SIGALRM, &act, NULL);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	timer_settime(timer, 0, &in, NULL);
	TIMED(r = syscall(SYS_rt_sigsuspend, &none, 8));
	CHECK("rt_sigsuspend ends by a signal", r == -1 && errno == EINTR && took_ms > MS - 10);
#ifdef SYS_pause
	timer_settime(timer, 0, &in, NULL);
	TIMED(r = syscall(SYS_pause));
	CHECK("pause ends by a signal", r == -1 && errno == EINTR && took_ms > MS - 10);
#endif
	struct timespec longer = { 10, 0 }, rest = { 0, 0 };
	timer_settime(timer, 0, &in, NULL);
	TIMED(r = syscall(SYS_nanosleep, &longer, &rest));
	CHECK("nanosleep ends by a signal", r == -1 && errno == EINTR && rest.tv_sec >= 5);
	void *bad[] = { mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
	for (int i = 0; i < 2; i++) {
		timer_settime(timer, 0, &in, NULL);
		r = syscall(SYS_nanosleep, &longer, bad[i]);
		CHECK("nanosleep, its rest can't be written", r == -1 && errno == EFAULT);
		timer_settime(timer, 0, &in, NULL);
		r = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &longer, bad[i]);
		CHECK("clock_nanosleep, its rest can't be written", r == -1 && errno == EFAULT);
		timer_settime(timer, 0, &in, NULL);
		r = nanosleep(&longer, bad[i]);
		CHECK("libc's nanosleep, its rest can't be written", r == -1 && errno == EFAULT);
	}
	timer_delete(timer);
}

static int status_of(long pid)
{
	int status = -1;
	waitpid((pid_t)pid, &status, 0);
	return status;
}

static void children(void)
{
	for (int i = 0; i < 20; i++) {
		long c = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
		if (c == 0)
			_exit(8);
		if (i == 0)
			CHECK("clone", c > 0 && WEXITSTATUS(status_of(c)) == 8);
		else
			status_of(c);
	}
}

int main(void)
{
	plain();
	waiting();
	own_signals();
	children();
	DONE();
}
