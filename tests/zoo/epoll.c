/* The only pointer is the data word of an epoll registration: only the kernel holds it. */
#include "zoo.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int set, event;

static __attribute__((noinline)) void place(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = zoo_block() };
	set = epoll_create1(EPOLL_CLOEXEC);
	event = eventfd(1, EFD_CLOEXEC);
	if (set < 0 || event < 0 || epoll_ctl(set, EPOLL_CTL_ADD, event, &e))
		exit(2);
	e.data.ptr = NULL;
	__asm__ volatile("" : : "r"(&e) : "memory");
}

static void *look(void)
{
	struct epoll_event e;
	if (epoll_wait(set, &e, 1, 1000) != 1)
		exit(2);
	return e.data.ptr;
}

int main(void) { return zoo_with_place(place, look); }
