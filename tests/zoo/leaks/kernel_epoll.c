/* The only pointer lies in an epoll set; one that was deleted from it is lost. */
// expect: definite 1 blocks 96 bytes deleted
#include "leak.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static SITE void *watched(void) { return made(malloc(96)); }
static SITE void *deleted(void) { return made(malloc(96)); }

static SITE void watch(int set, bool keep)
{
	int fd = eventfd(0, 0);
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = keep ? watched() : deleted() };
	if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) || (!keep && epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)))
		_exit(2);
	e.data.ptr = NULL;
	use(&e);
}

int main(void)
{
	int set = epoll_create1(0);
	watch(set, true);
	watch(set, false);
	kit_scrub();
	return 0;
}
