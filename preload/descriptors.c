/*
 * Closing and replacing descriptors, where one of ours may be among them (listen=1: the socket of control/).
 *
 * The program did not open it, so for the program it is not there: close answers EBADF for its number, ranges go around it, and who
 * wants the number for itself (dup2) gets it, because ours moves. Daemons close everything up to a limit, and servers before exec;
 * what they do to their own is done to them.
 *
 * Without listen=1 there is no such number, and each wrapper is a load and a comparison. A vfork child shares our memory but has descriptors
 * of its own: it leaves ours open, and exec closes it.
 */
#include "control/control.h"
#include "preload/real.h"
#include "preload/shim.h"
#include <errno.h>

int __close(int fd);
int __dup2(int from, int to) __THROW;

static inline bool maybe_ours(int fd) { return UNLIKELY(fd == load_relaxed(&control_descriptor)) && fd >= 0; }

static bool is_ours(int fd)
{
	int saved = errno;
	bool yes = control_owns(fd);
	errno = saved;
	return yes;
}

bool descriptor_hidden(int fd) { return maybe_ours(fd) && is_ours(fd); }

int close(int fd)
{
	if (descriptor_hidden(fd)) {
		errno = EBADF;
		return -1;
	}
	return real()->close(fd);
}
int __close(int fd) __attribute__((alias("close")));

/* A range that is empty is one that the kernel refuses, so a part that would be empty is left out. */
int descriptors_close_range(unsigned first, unsigned last, int flags, int (*call)(unsigned, unsigned, int))
{
	const int ours = load_relaxed(&control_descriptor);
	if (LIKELY(ours < 0) || (unsigned)ours < first || (unsigned)ours > last || !is_ours(ours))
		return call(first, last, flags);
	int r = 0;
	if ((unsigned)ours > first)
		r = call(first, (unsigned)ours - 1, flags);
	if (r == 0 && (unsigned)ours < last)
		r = call((unsigned)ours + 1, last, flags);
	return r;
}

int close_range(unsigned first, unsigned last, int flags) { return descriptors_close_range(first, last, flags, real()->close_range); }

void closefrom(int low)
{
	const int ours = load_relaxed(&control_descriptor);
	if (LIKELY(ours < 0) || !is_ours(ours)) {
		real()->closefrom(low);
		return;
	}
	int saved = errno;
	if (close_range(low > 0 ? (unsigned)low : 0, ~0u, 0) != 0) { /* a kernel that has no such call */
		real()->closefrom(low);
		control_check();
	}
	errno = saved;
}

/* Should the call fail, ours has moved all the same. */
void descriptor_makes_way(int from, int to)
{
	if (maybe_ours(to) && from != to && is_ours(to) && identity_own())
		KEEPING_ERRNO(control_make_way(to));
}

int dup2(int from, int to)
{
	descriptor_makes_way(from, to);
	return real()->dup2(from, to);
}
int __dup2(int from, int to) __attribute__((alias("dup2")));

int dup3(int from, int to, int flags)
{
	descriptor_makes_way(from, to);
	return real()->dup3(from, to, flags);
}
