/*
 * The functions that the wrappers stand before: those that the next object in search order defines (libc as a rule, another
 * preloaded library when there is one).
 *
 * All are looked up at once by real_start, which the constructor calls. A wrapper that runs earlier (a constructor of a library
 * that does not depend on us) starts the lookup itself. The lookup may run twice at the same time: both write the same values.
 */
#ifndef CGC_PRELOAD_REAL_H
#define CGC_PRELOAD_REAL_H

#include "base/bits.h"
#include "preload/lookup.h"
#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define REAL_FUNCTIONS(X) \
	/* eintr_sleep.c */ X(clock_nanosleep) \
	/* eintr_poll.c */ X(poll) X(ppoll) X(select) X(pselect) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) \
	/* eintr_wait.c */ X(sem_timedwait) X(sem_clockwait) X(sigtimedwait) X(sigwaitinfo) X(sigwait) X(pause) X(sigsuspend) \
	X(semop) X(semtimedop) X(msgrcv) X(msgsnd) X(aio_suspend) X(gai_suspend) X(tcdrain) \
	/* eintr_socket.c */ X(read) X(readv) X(recv) X(recvfrom) X(recvmsg) X(recvmmsg) X(accept) X(accept4) X(connect) \
	X(write) X(writev) X(send) X(sendto) X(sendmsg) X(sendmmsg) X(setsockopt) \
	/* flight.c */ X(mq_send) X(mq_timedsend) X(mq_receive) X(mq_timedreceive) X(vmsplice) X(tee) X(eventfd_write) X(pwritev2) X(ioctl) \
	/* pages.c */ X(munmap) X(mprotect) X(pkey_mprotect) X(mremap) X(shmat) X(shmdt) X(brk) X(sbrk) X(mmap) X(madvise) X(ftruncate) X(truncate) \
	/* altstack.c, signals.c */ X(sigaltstack) X(sigprocmask) X(pthread_sigmask) X(sigaction) X(signal) X(signalfd) \
	/* dl.c */ X(dlclose) \
	/* exit.c */ X(fclose) X(fcloseall) \
	/* exec.c */ X(execve) X(execv) X(execvp) X(execvpe) X(fexecve) X(execveat) \
	/* thread.c, epoll.c */ X(pthread_create) X(clone) X(pthread_setcanceltype) X(epoll_ctl) \
	/* filter.c */ X(prctl) \
	/* descriptors.c */ X(close) X(close_range) X(closefrom) X(dup2) X(dup3) \
	/* kernel.c */ X(timer_create) X(timer_delete) X(sigqueue) X(pthread_sigqueue) X(pidfd_send_signal) X(mq_notify) X(mq_close) \
	X(aio_read) X(aio_write) X(aio_fsync) X(lio_listio) \
	/* start.c */ X(__register_atfork)

/* What pthread_atfork, which is linked into each library, calls. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);

int pidfd_send_signal(int process, int signal, siginfo_t *info, unsigned flags); /* glibc 2.36 */

struct real {
#define X(name) __typeof__(name) *name;
	REAL_FUNCTIONS(X)
#undef X
	bool ready; /* released after the pointers; acquired by whoever reads them */
};
extern struct real real_functions;

/* Read by the jump in raw.c; set before real_functions.ready. */
extern long (*real_syscall)(long n, ...);
extern void *real_dlopen;

void real_start(void);

static inline const struct real *real(void)
{
	if (UNLIKELY(!load_acquire(&real_functions.ready)))
		real_start();
	return &real_functions;
}

#endif
