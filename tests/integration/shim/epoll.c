/* epoll_ctl: data comes back; errors as without us and without effect. */
#include "check.h"
#include <sys/epoll.h>

int main(void)
{
	int p[2], e = epoll_create1(0);
	struct epoll_event ev = { EPOLLIN, { .u64 = 0x1122334455667788 } }, got = { 0 };
	if (pipe(p) || write(p[1], "x", 1) != 1)
		return 99;
	CHECK("mod of none", epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == -1 && errno == ENOENT);
	errno = 77;
	CHECK("add", epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev) == 0 && errno == 77);
	ev.data.u64 = 5;
	CHECK("add again", epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev) == -1 && errno == EEXIST);
	CHECK("data", epoll_wait(e, &got, 1, 100) == 1 && got.data.u64 == 0x1122334455667788);
	CHECK("mod", epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == 0 && epoll_wait(e, &got, 1, 100) == 1 && got.data.u64 == 5);
	CHECK("bad pointer", epoll_ctl(e, EPOLL_CTL_MOD, p[0], (struct epoll_event *)8) == -1 && errno == EFAULT);
	CHECK("del", epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL) == 0 && epoll_wait(e, &got, 1, 0) == 0);
	CHECK("bad operation", epoll_ctl(e, 99, p[0], &ev) == -1 && errno == EINVAL);
	DONE();
}
