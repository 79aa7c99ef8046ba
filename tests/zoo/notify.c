/* The only pointers are what mq_notify holds: the value for a signal; value and attributes for a thread that glibc starts, which
 * go through the kernel to its helper. One after the other: such threads block no signals. */
#include "zoo.h"
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>

static mqd_t queues[2];
static size_t stack_size;

static void fired(union sigval value)
{
	pthread_attr_t attr;
	size_t size = 0;
	if (pthread_getattr_np(pthread_self(), &attr) || pthread_attr_getstacksize(&attr, &size))
		exit(2);
	pthread_attr_destroy(&attr);
	zoo_result = zoo_verdict(value.sival_ptr);
	if (size != stack_size) {
		fprintf(stderr, "zoo: the thread's attributes were recycled\n");
		zoo_result = 1;
	}
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void place_signal(void)
{
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = zoo_block() };
	if (mq_notify(queues[0], &e))
		exit(2);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
}

static __attribute__((noinline)) void place_thread(void)
{
	pthread_attr_t attr;
	struct sigevent e = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = fired, .sigev_notify_attributes = &attr,
		                  .sigev_value.sival_ptr = zoo_block() };
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_size);
	if (mq_notify(queues[1], &e))
		exit(2);
	pthread_attr_destroy(&attr);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
}

int main(void)
{
	char name[64];
	sigset_t set;
	siginfo_t info;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	zoo_needs_collector();
	stack_size = 300 * 4096;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "/zoo-%d-%d", (int)getpid(), i);
		queues[i] = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
		if (queues[i] < 0)
			return errno == ENOSYS ? ZOO_NO_PLACE : 2;
		mq_unlink(name);
	}
	place_signal();
	zoo_collect(ZOO_SIZE);
	if (mq_send(queues[0], "x", 1, 0))
		return 2;
	zoo_collect(ZOO_SIZE); /* fired: the value is pending */
	if (sigwaitinfo(&set, &info) != SIGRTMIN)
		return 2;
	if (zoo_verdict(info.si_value.sival_ptr))
		return 1;
	place_thread();
	zoo_collect(ZOO_SIZE);
	zoo_collect(sizeof(pthread_attr_t)); /* whoever takes the copy's place, should it be free */
	if (mq_send(queues[1], "x", 1, 0))
		return 2;
	for (int ms = 0; !__atomic_load_n(&zoo_ready, __ATOMIC_ACQUIRE); ms++, usleep(1000))
		if (ms > 20000) {
			fprintf(stderr, "zoo: no thread came: its attributes were recycled\n");
			return 1;
		}
	return zoo_result;
}
