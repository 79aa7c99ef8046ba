/* Folders, local sockets and timers on Linux: os/local.h by raw system calls. */
#include "os/local.h"
#include "os/os.h"
#include "os/syscall.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum { HIGH = 1000 };

unsigned os_user(void) { return (unsigned)syscall0(SYS_geteuid); }

/* -- folders -- */

int os_make_folder(const char *path) { return (int)syscall3(SYS_mkdirat, AT_FDCWD, (long)path, 0700); }

int os_open_own_folder(const char *path)
{
	struct stat st = { 0 };
	int fd = os_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	if (syscall2(SYS_fstat, fd, (long)&st) == 0 && st.st_uid == os_user() && !(st.st_mode & 077))
		return fd;
	os_close(fd);
	return -EPERM;
}

int os_unlink_at(int folder, const char *name) { return (int)syscall3(SYS_unlinkat, folder, (long)name, 0); }

int os_nameless(const char *name, int folder)
{
	int fd = os_memfd(name);
	if (fd < 0 && folder >= 0)
		fd = (int)syscall4(SYS_openat, folder, (long)".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd;
}

int64_t os_size(int fd)
{
	struct stat st = { 0 };
	return syscall2(SYS_fstat, fd, (long)&st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

/* -- descriptors -- */

int os_duplicate_high(int fd)
{
	struct rlimit limit = { HIGH + 1, HIGH + 1 };
	syscall4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit);
	long from = limit.rlim_cur > HIGH ? HIGH : (long)limit.rlim_cur - 8;
	long copy = -EMFILE;
	for (; copy < 0 && from >= 0; from -= 8) /* the highest eight that have a free one */
		copy = syscall3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
	return (int)copy;
}

int os_move_high(int fd)
{
	int copy = os_duplicate_high(fd);
	if (copy < 0)
		return fd;
	os_close(fd);
	return copy;
}

/* -- sockets -- */

int os_local_socket(void) { return (int)syscall3(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

static void address(struct sockaddr_un *a, int folder, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	text_format(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", folder, name);
}

/* The program's umask may have taken our own right to connect; the mask itself belongs to all threads. */
int os_local_bind(int fd, int folder, const char *name)
{
	struct sockaddr_un a;
	address(&a, folder, name);
	int r = (int)syscall3(SYS_bind, fd, (long)&a, sizeof a);
	if (r == 0)
		syscall3(SYS_fchmodat, folder, (long)name, 0600);
	return r;
}

int os_local_connect(int fd, int folder, const char *name)
{
	struct sockaddr_un a;
	address(&a, folder, name);
	return (int)syscall3(SYS_connect, fd, (long)&a, sizeof a);
}

int os_local_listen(int fd, int queue) { return (int)syscall2(SYS_listen, fd, queue); }
int os_local_accept(int fd) { return (int)syscall4(SYS_accept4, fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK); }

bool os_local_peer(int fd, unsigned *user)
{
	struct ucred peer = { 0, ~0u, ~0u };
	socklen_t size = sizeof peer;
	bool known = syscall6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size, 0) == 0;
	*user = peer.uid;
	return known;
}

int os_local_ring(int fd, int signal, int pid)
{
	struct f_owner_ex owner = { F_OWNER_PID, pid };
	long r = 0;
	if (pid)
		r = syscall3(SYS_fcntl, fd, F_SETSIG, signal);
	if (pid && r == 0)
		r = syscall3(SYS_fcntl, fd, F_SETOWN_EX, (long)&owner);
	return (int)(r < 0 ? r : syscall3(SYS_fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK | (pid ? O_ASYNC : 0)));
}

long os_local_receive(int fd, void *buf, size_t n, uint64_t timeout_ns)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct timespec t = { (time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u) };
	if (syscall6(SYS_ppoll, (long)&p, 1, (long)&t, 0, 8, 0) <= 0)
		return 0;
	long r = syscall6(SYS_recvfrom, fd, (long)buf, (long)n, MSG_DONTWAIT, 0, 0);
	return r > 0 ? r : 0;
}

bool os_local_send(int fd, const void *buf, size_t n, int passed)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)buf, n };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	if (passed >= 0) {
		control.head = (struct cmsghdr){ CMSG_LEN(sizeof passed), SOL_SOCKET, SCM_RIGHTS };
		__builtin_memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
	}
	return syscall3(SYS_sendmsg, fd, (long)&m, MSG_DONTWAIT | MSG_NOSIGNAL) == (long)n;
}

/* How many are queued for the user is only in /proc; a limit so low may be reached any time. */
bool os_signals_room(unsigned n)
{
	struct rlimit limit = { 0, 0 };
	return syscall4(SYS_prlimit64, 0, RLIMIT_SIGPENDING, 0, (long)&limit) == 0 && limit.rlim_cur > n;
}

/* -- timers -- */

bool os_timer_make(int signal, int value, int *timer)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal, .sigev_value = { .sival_int = value } };
	return syscall3(SYS_timer_create, CLOCK_MONOTONIC, (long)&event, (long)timer) == 0;
}

void os_timer_set(int timer, uint64_t first_ns, uint64_t every_ns)
{
	struct itimerspec t = { { (time_t)(every_ns / 1000000000u), (long)(every_ns % 1000000000u) },
		                    { (time_t)(first_ns / 1000000000u), (long)(first_ns % 1000000000u) } };
	syscall4(SYS_timer_settime, timer, 0, (long)&t, 0);
}

void os_timer_drop(int timer) { syscall1(SYS_timer_delete, timer); }
