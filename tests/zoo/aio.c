/* The only pointer is the value in a control block that only glibc's request leads to; then the signal which that queued. And the
 * same for a list. Then the argument of the thread that glibc starts in place of a signal; last, because such threads block no signals. */
#include "zoo.h"
#include <aio.h>
#include <errno.h>
#include <signal.h>

static int pipes[2];
static char byte[3];
static uintptr_t blocks[3]; /* hidden */

static void fired(union sigval value)
{
	zoo_result = zoo_verdict(value.sival_ptr);
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
}

static struct aiocb *control(int i, int notify)
{
	struct aiocb *c = calloc(1, sizeof *c);
	blocks[i] = kit_hide((uintptr_t)c);
	c->aio_fildes = pipes[0];
	c->aio_buf = &byte[i];
	c->aio_nbytes = 1;
	c->aio_lio_opcode = LIO_READ;
	c->aio_sigevent.sigev_notify = notify;
	c->aio_sigevent.sigev_signo = SIGRTMIN;
	c->aio_sigevent.sigev_notify_function = fired;
	if (notify != SIGEV_NONE)
		c->aio_sigevent.sigev_value.sival_ptr = zoo_block();
	return c;
}

static __attribute__((noinline)) void place_signals(void)
{
	struct aiocb *list[1];
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_ptr = zoo_block() };
	if (aio_read(control(0, SIGEV_SIGNAL)))
		exit(2);
	list[0] = control(1, SIGEV_NONE);
	if (lio_listio(LIO_NOWAIT, list, 1, &e))
		exit(2);
	list[0] = NULL;
	e.sigev_value.sival_ptr = NULL;
	__asm__ volatile("" : : "r"(list), "r"(&e) : "memory");
}

static __attribute__((noinline)) void place_thread(void)
{
	if (aio_read(control(2, SIGEV_THREAD)))
		exit(2);
}

static void collect_while_waiting(const char *bytes)
{
	zoo_collect(ZOO_SIZE);
	zoo_collect(sizeof(struct aiocb));
	if (write(pipes[1], bytes, strlen(bytes)) != (ssize_t)strlen(bytes))
		exit(2);
}

static __attribute__((noinline)) void wait_pending(int number)
{
	sigset_t pending;
	do {
		usleep(1000);
		sigpending(&pending);
	} while (!sigismember(&pending, number));
}

static int take(int number)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, number);
	return sigwaitinfo(&set, &info) == number ? zoo_verdict(info.si_value.sival_ptr) : 2;
}

int main(void)
{
	sigset_t set;
	zoo_needs_collector();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pipe(pipes))
		return 2;
	place_signals();
	collect_while_waiting("ab");
	wait_pending(SIGRTMIN);
	wait_pending(SIGRTMIN + 1);
	memset((void *)kit_hide(blocks[0]), 0, sizeof(struct aiocb)); /* glibc's pool of requests remembers it */
	zoo_collect(ZOO_SIZE); /* the values are in pending signals only */
	int r = take(SIGRTMIN) | take(SIGRTMIN + 1);
	place_thread();
	collect_while_waiting("c");
	while (!__atomic_load_n(&zoo_ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	return r | zoo_result;
}
