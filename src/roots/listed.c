/*
 * What the kernel lists of itself: the data words of epoll sets (/proc/self/fdinfo) and the values of timers (/proc/self/timers).
 *
 * The tables of the shim know what came through libc. A program may also enter the kernel by instructions of its own, or leave
 * the registration to io_uring. So each stop reads the kernel's own lists beside the tables; each word may stand in both.
 *
 *   status             "FDSize: 256" how many descriptors to ask: statx says which are anonymous inodes (and asks no file system
 *                      for it: this process may serve it). A listing of /proc/self/fd takes ten times as long
 *   fdinfo/N           "tfd:  5 events:  1 data:  55d0c0ffee ..." a registration, of a set
 *   timers             "signal: 64/000055d0c0ffee" a timer (kernels with CONFIG_CHECKPOINT_RESTORE)
 *
 * The kernel makes the list of a set as a whole, at 1.2 microseconds a line. So a large one whose pointers all stood in the table of
 * the shim for just this set and descriptor (the program registers by libc) is read again after 1, 2, 4 .. WAIT_MOST stops.
 *
 * What can't be read is left to the tables: a program without /proc/self/fdinfo is as it was without this file.
 */
#include "base/text.h"
#include "os/os.h"
#include "roots/inside.h"

#include <string.h>

/* A file of lines, in pieces. */
struct lines {
	int fd;
	size_t at, filled;
	char text[8192];
};
static LARGE struct lines lines; /* inside the stop: one at a time */

/* The next whole line, ended by NUL; NULL: no more. */
static char *next_line(struct lines *l)
{
	for (;;) {
		char *line = l->text + l->at, *end = memchr(line, '\n', l->filled - l->at);
		if (end) {
			*end = 0;
			l->at = (size_t)(end + 1 - l->text);
			return line;
		}
		memmove(l->text, line, l->filled -= l->at);
		l->at = 0;
		long n = os_read(l->fd, l->text + l->filled, sizeof l->text - l->filled);
		if (n <= 0)
			return NULL;
		l->filled += (size_t)n;
	}
}

static bool open_lines(struct lines *l, const char *name)
{
	l->fd = os_open_proc(name);
	l->at = l->filled = 0;
	return l->fd >= 0;
}

/* The number of this base behind `name` in the line. false: there is no such name. */
static bool number_after(const char *line, const char *name, unsigned base, uint64_t *number)
{
	const char *p = strstr(line, name);
	if (!p)
		return false;
	*number = 0;
	for (p += strlen(name); *p == ' ' || *p == '\t'; p++)
		;
	for (;; p++) {
		unsigned digit = *p >= '0' && *p <= '9' ? (unsigned)(*p - '0') : (unsigned)((*p | 0x20) - 'a') + 10;
		if (digit >= base)
			return true;
		*number = *number * base + digit;
	}
}

/* Of a large set that the shim sees: how many stops go by before its list is read again. */
struct seen {
	int set;
	unsigned wait, left;
};
enum { LOW = 256, HIGH_MOST = 1 << 20, IN_TURN = 16, SETS = 64, LARGE_SET = 128, WAIT_MOST = 64 };
static struct seen seen[SETS];

static size_t epoll_set(int set, void (*fn)(uintptr_t word), bool *is_set)
{
	char name[32];
	size_t words = 0, unknown = 0, count = 0;
	struct seen *s = &seen[(unsigned)set % SETS];
	*is_set = true;
	if (s->set == set && s->left) {
		s->left--;
		return 0;
	}
	text_format(name, sizeof name, "fdinfo/%d", set);
	*is_set = false;
	if (!open_lines(&lines, name))
		return 0;
	for (char *line; (line = next_line(&lines));) {
		uint64_t fd, data;
		if (strncmp(line, "tfd:", 4) != 0 || !number_after(line, "tfd:", 10, &fd) || !number_after(line, " data:", 16, &data))
			continue;
		count++;
		*is_set = true;
		if (!roots_ours((uintptr_t)data))
			continue;
		fn((uintptr_t)data);
		words++;
		unknown += !tables_know_epoll(set, (int)fd, (uintptr_t)data);
	}
	os_close(lines.fd);
	bool explained = count > LARGE_SET && words && !unknown;
	unsigned wait = !explained ? 0 : s->set == set && s->wait ? 2 * s->wait : 1;
	wait = wait < WAIT_MOST ? wait : WAIT_MOST;
	*s = (struct seen){ set, wait, wait };
	return words;
}

/* One more than the highest descriptor can be: the size of the kernel's table. 0: it does not say. */
static int descriptors(void)
{
	uint64_t size = 0;
	if (!open_lines(&lines, "status"))
		return 0;
	for (char *line; (line = next_line(&lines)) && !number_after(line, "FDSize:", 10, &size);)
		;
	os_close(lines.fd);
	return size > INT32_MAX ? 0 : (int)size;
}

/* A system call takes a third of a microsecond: of high numbers each stop asks the known sets, and every 16th number in turn. */
static size_t epoll_sets(void (*fn)(uintptr_t word))
{
	static LARGE uint8_t known[HIGH_MOST / 8];
	static int turn;
	size_t words = 0;
	int n = descriptors();
	turn = (turn + 1) % IN_TURN;
	for (int fd = 0; fd < n && fd < HIGH_MOST; fd++) {
		uint8_t *byte = &known[fd / 8], bit = (uint8_t)(1 << fd % 8);
		if (fd >= LOW && fd % IN_TURN != turn && !(*byte & bit))
			continue;
		bool is_set = false;
		if (os_is_anonymous(fd))
			words += epoll_set(fd, fn, &is_set);
		*byte = is_set ? *byte | bit : *byte & (uint8_t)~bit;
	}
	return words;
}

static size_t timers(void (*fn)(uintptr_t word))
{
	size_t words = 0;
	uint64_t value;
	if (!open_lines(&lines, "timers"))
		return 0;
	for (char *line; (line = next_line(&lines));)
		if (strncmp(line, "signal:", 7) == 0 && number_after(line, "/", 16, &value) && roots_ours((uintptr_t)value)) {
			fn((uintptr_t)value);
			words++;
		}
	os_close(lines.fd);
	return words;
}

size_t listed_each(void (*fn)(uintptr_t word)) { return epoll_sets(fn) + timers(fn); }
