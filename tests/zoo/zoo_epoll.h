/* A word that only an epoll set keeps. */
#ifndef CGC_ZOO_EPOLL_H
#define CGC_ZOO_EPOLL_H

#include "zoo.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* A set that keeps `word` for a descriptor that is always readable. */
static inline int zoo_to_epoll(uintptr_t word)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = word };
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(set, EPOLL_CTL_ADD, eventfd(1, EFD_CLOEXEC), &e))
		exit(2);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
	return set;
}

#endif
