/* The program's own handler ends each call with EINTR at its time, under stops as without them; and a cancelled thread ends. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile sig_atomic_t rang;
static void ring(int s) { rang++; }
static const struct timespec two = { 2, 0 };
static int ep, pipe_fd[2], pair[2], sem_id, msg_id;
static sem_t sem;
static struct pollfd pfd;
static struct timespec rest;
static struct timeval tv;
static sigset_t none;

static int c_nanosleep(void) { return nanosleep(&two, &rest); }
static int c_clock(void) { int r = clock_nanosleep(CLOCK_MONOTONIC, 0, &two, &rest); errno = r; return r ? -1 : 0; }
static int c_usleep(void) { return usleep(900000); }
static int c_sleep(void) { return sleep(2) == 1 ? -1 : 0; }
static int c_poll(void) { return poll(&pfd, 1, 2000); }
static int c_poll_ever(void) { return poll(&pfd, 1, -1); }
static int c_ppoll(void) { return ppoll(&pfd, 1, &two, &none); }
static int c_select(void) { tv.tv_sec = 2; tv.tv_usec = 0; return select(0, NULL, NULL, NULL, &tv); }
static int c_pselect(void) { return pselect(0, NULL, NULL, NULL, &two, NULL); }
static int c_epoll(void) { struct epoll_event e; return epoll_wait(ep, &e, 1, 2000); }
static int c_epoll_p(void) { struct epoll_event e; return epoll_pwait(ep, &e, 1, -1, &none); }
static int c_epoll_2(void) { struct epoll_event e; return epoll_pwait2(ep, &e, 1, &two, NULL); }
static int c_sem(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_sec += 2; return sem_timedwait(&sem, &t); }
static int c_pause(void) { return pause(); }
static int c_suspend(void) { return sigsuspend(&none); }
static int c_timed(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); return sigtimedwait(&s, NULL, &two); }
static int c_info(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); return sigwaitinfo(&s, NULL); }
static int c_semop(void) { struct sembuf b = { 0, -1, 0 }; return semop(sem_id, &b, 1); }
static int c_msgrcv(void) { struct { long t; char c[4]; } m; return (int)msgrcv(msg_id, &m, 4, 0, 0); }
static int c_recv(void) { char c; return (int)recv(pair[0], &c, 1, 0); }
static int c_read(void) { char c; return (int)read(pair[0], &c, 1); }
static int c_pipe(void) { char c; return (int)read(pipe_fd[0], &c, 1); }

static const struct call {
	const char *name;
	int (*fn)(void);
	int restarts; /* with SA_RESTART the kernel goes on: no EINTR to see */
} calls[] = {
	{ "nanosleep", c_nanosleep, 0 }, { "clock_nanosleep", c_clock, 0 }, { "usleep", c_usleep, 0 }, { "sleep", c_sleep, 0 },
	{ "poll", c_poll, 0 }, { "poll for ever", c_poll_ever, 0 }, { "ppoll", c_ppoll, 0 }, { "select", c_select, 0 },
	{ "pselect", c_pselect, 0 }, { "epoll_wait", c_epoll, 0 }, { "epoll_pwait", c_epoll_p, 0 }, { "epoll_pwait2", c_epoll_2, 0 },
	{ "sem_timedwait", c_sem, 0 }, { "pause", c_pause, 0 }, { "sigsuspend", c_suspend, 0 }, { "sigtimedwait", c_timed, 0 },
	{ "sigwaitinfo", c_info, 0 }, { "semop", c_semop, 0 }, { "msgrcv", c_msgrcv, 0 }, { "recv with a timeout", c_recv, 0 },
	{ "read with a timeout", c_read, 0 }, { "read of a pipe", c_pipe, 1 },
};

static void *cancelled(void *p) { ((const struct call *)p)->fn(); return NULL; }

int main(void)
{
	ep = epoll_create1(0);
	sigemptyset(&none);
	sem_init(&sem, 0, 0);
	sem_id = semget(IPC_PRIVATE, 1, 0600);
	msg_id = msgget(IPC_PRIVATE, 0600);
	if (pipe(pipe_fd) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 99;
	pfd = (struct pollfd){ pipe_fd[0], POLLIN, 0 };
	tv.tv_sec = 2;
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		struct sigaction a = { .sa_handler = ring, .sa_flags = flags };
		sigaction(SIGALRM, &a, NULL);
		for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
			if (flags && calls[i].restarts)
				continue;
			struct itimerval it = { { 0, 0 }, { 0, 80000 } };
			int r;
			rang = 0;
			memset(&rest, 0, sizeof rest);
			setitimer(ITIMER_REAL, &it, NULL);
			TIMED(r = calls[i].fn());
			CHECK(calls[i].name, r == -1 && errno == EINTR && rang == 1 && took_ms > 70 && took_ms < 900);
			if (calls[i].fn == c_nanosleep || calls[i].fn == c_clock)
				CHECK("  rest", rest.tv_sec == 1 && rest.tv_nsec > 100000000 && rest.tv_nsec < 935000000);
			if (calls[i].fn == c_select)
				CHECK("  time left", tv.tv_sec == 1 && tv.tv_usec > 100000 && tv.tv_usec < 935000);
		}
	}
	/* A signal that is blocked but for the wait is not lost, whenever it comes. */
	int caught = 0;
	sigset_t block, before;
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &before);
	for (int i = 0; i < 300; i++) {
		struct itimerval it = { { 0, 0 }, { 0, 200 + i * 7 } };
		rang = 0;
		setitimer(ITIMER_REAL, &it, NULL);
		int r = i % 3 == 0 ? sigsuspend(&before) : i % 3 == 1 ? ppoll(NULL, 0, &two, &before) : pselect(0, NULL, NULL, NULL, &two, &before);
		caught += r == -1 && errno == EINTR && rang == 1;
	}
	CHECK("300 signals during atomic waits", caught == 300);
	sigprocmask(SIG_SETMASK, &before, NULL);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		pthread_t t;
		void *result;
		pthread_create(&t, NULL, cancelled, (void *)&calls[i]);
		usleep(20000);
		pthread_cancel(t);
		char name[80];
		snprintf(name, sizeof name, "cancel in %s", calls[i].name);
		TIMED(pthread_join(t, &result));
		CHECK(name, result == PTHREAD_CANCELED && took_ms < 600);
	}
	semctl(sem_id, 0, IPC_RMID);
	msgctl(msg_id, IPC_RMID, NULL);
	DONE();
}
