/*
 * What another process passes or another user's file holds is checked once and believed from then on. A mapping, a private one too, shows
 * what the owner writes after the check, and a file that gets shorter ends its reader by SIGBUS. So the bytes are copied first, and
 * what is checked is the copy.
 */
#include "take.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGEST (4ull << 30)

static bool read_all(int fd, char *to, uint64_t n)
{
	for (uint64_t at = 0; at < n;) {
		ssize_t r = pread(fd, to + at, n - at, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		at += (uint64_t)r;
	}
	return true;
}

const void *take_copy(int fd, uint64_t n, const char **wrong)
{
	*wrong = n > LARGEST ? "it has more than 4 GiB: ask without --blocks" : NULL;
	if (!n || *wrong)
		return NULL;
	char *copy = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED) {
		*wrong = "there is no memory for it: ask without --blocks";
		return NULL;
	}
	if (read_all(fd, copy, n))
		return copy;
	munmap(copy, n);
	*wrong = "it became shorter while it was read: try again";
	return NULL;
}

const void *take_file(int fd, const struct stat *st, const char **wrong)
{
	const bool ours = (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
	if (!ours)
		return take_copy(fd, (uint64_t)st->st_size, wrong);
	*wrong = NULL;
	void *bytes = st->st_size ? mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	if (bytes == MAP_FAILED) {
		*wrong = strerror(errno);
		return NULL;
	}
	return bytes;
}
