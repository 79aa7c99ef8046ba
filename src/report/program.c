/*
 * The process from outside, without libc: /proc/self; or /proc/thread-self, because the first tells nothing when the main thread
 * has ended by pthread_exit.
 */
#include "report/program.h"
#include "base/printable.h"
#include "os/os.h"

#include <fcntl.h>
#include <string.h>

static size_t read_file(const char *path, char *buf, size_t cap)
{
	size_t n = 0;
	int fd = os_open(path, O_RDONLY, 0);
	if (fd < 0)
		return 0;
	for (long r; n < cap && (r = os_read(fd, buf + n, cap - n)) > 0;)
		n += (size_t)r;
	os_close(fd);
	return n;
}

const char *program_path(char *buf, size_t cap)
{
	long n = os_readlink("/proc/self/exe", buf, cap - 1);
	if (n <= 0)
		n = os_readlink("/proc/thread-self/exe", buf, cap - 1);
	buf[n > 0 ? n : 0] = 0;
	return buf;
}

const char *program_command(char *buf, size_t cap)
{
	size_t n = read_file("/proc/self/cmdline", buf, cap);
	n = n ? n : read_file("/proc/thread-self/cmdline", buf, cap);
	const bool cut = n == cap;
	if (!n)
		return program_path(buf, cap);
	n = cut ? cap - 1 : n;
	while (n && buf[n - 1] == 0 && !cut)
		n--;
	for (size_t i = 0; i < n; i++)
		buf[i] = buf[i] ? buf[i] : ' ';
	buf[n] = 0;
	make_printable(buf);
	if (cut)
		memcpy(buf + cap - 4, "...", 4);
	return buf;
}

uint64_t program_rss(void)
{
	char text[128]; /* statm: size and resident pages first */
	size_t n = read_file("/proc/self/statm", text, sizeof text - 1), at = 0;
	if (n < 2 || text[0] == '0')
		n = read_file("/proc/thread-self/statm", text, sizeof text - 1);
	uint64_t pages = 0;
	text[n] = 0;
	while (text[at] >= '0' && text[at] <= '9')
		at++;
	for (at += text[at] == ' '; text[at] >= '0' && text[at] <= '9'; at++)
		pages = pages * 10 + (uint64_t)(text[at] - '0');
	return pages * 4096;
}
