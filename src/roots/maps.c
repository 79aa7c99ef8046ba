/*
 * The list of mappings, read inside the stop.
 *
 *   7f1c2a000000-7f1c2a021000 rw-p 00000000 00:00 0                          [heap]
 *   low          high         flags offset  dev   inode                      path
 *
 * The kernel hands out whole lines, one page at most per read, and remembers the address it stopped at. The list is
 * consistent as long as no mapping changes meanwhile: the world is stopped, and this file itself maps memory only between
 * readings: when the table is full the rest is counted, the table is enlarged and the reading starts anew.
 */
#include "roots/maps.h"
#include "base/fault.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

enum {
	FIRST_ROOM = 170,        /* mappings; 8 KiB */
	TRIES = 4,               /* enlarging the table once is enough unless neighbours split */
	LINE_MAX = 32 * 1024     /* a path of 4095 bytes, each escaped to four, fits with room to spare */
};

static ANSWER(3) char buffer[2 * LINE_MAX]; /* under the collect lock */

/* -- one line -- */

struct cursor {
	const char *p, *end;
};

static bool take_char(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool take_number(struct cursor *c, unsigned base, uint64_t *out)
{
	const char *first = c->p;
	uint64_t n = 0;
	for (; c->p < c->end; c->p++) {
		unsigned digit;
		if (*c->p >= '0' && *c->p <= '9')
			digit = (unsigned)(*c->p - '0');
		else if (base == 16 && *c->p >= 'a' && *c->p <= 'f')
			digit = (unsigned)(*c->p - 'a') + 10;
		else
			break;
		if (n > (UINT64_MAX - digit) / base)
			return false;
		n = n * base + digit;
	}
	*out = n;
	return c->p > first;
}

static bool take_flags(struct cursor *c, uint8_t *flags)
{
	static const char set[] = "rwx";
	*flags = 0;
	if (c->end - c->p < 4)
		return false;
	for (unsigned i = 0; i < 3; i++, c->p++) {
		if (*c->p == set[i])
			*flags |= (uint8_t)(1u << i);
		else if (*c->p != '-')
			return false;
	}
	char sharing = *c->p++;
	if (sharing == 's' || sharing == 'S')
		*flags |= MAPPING_SHARED;
	else if (sharing != 'p')
		return false;
	return true;
}

static bool starts(const char *path, size_t length, const char *with)
{
	size_t n = strlen(with);
	return length >= n && memcmp(path, with, n) == 0;
}

static bool starts_with_any(const char *path, size_t length, const char *const *with, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (starts(path, length, with[i]))
			return true;
	return false;
}

/* What the path says of the contents. A program chooses the names of its files, which begin with a slash, and of its memory, [anon:name]; the others are the
 * kernel's. So paths only tell what must not be read in the ordinary way. Memory file systems that live below /dev are no devices. /sys and /proc files
 * can be device registers, which reading changes. */
static uint8_t kind_of(const char *path, size_t length, uint64_t inode)
{
	static const char *const kernel[] = { "[vvar", "[vdso]", "[vsyscall]", "[vectors]", "[sigpage]", "[uprobes]" };
	static const char *const device[] = { "anon_inode:", "/dmabuf:", "/sys/", "/proc/", "/dev/" };
	static const char *const memory[] = { "/dev/shm/", "/dev/zero", "/dev/hugepages" };
	static const char secret[] = "/secretmem (deleted)";
	if (starts_with_any(path, length, kernel, NELEM(kernel)))
		return MAPPING_KERNEL;
	if (starts(path, length, "anon_inode:[io_uring]"))
		return MAPPING_RING;
	if (length == sizeof secret - 1 && starts(path, length, secret))
		return MAPPING_SECRET;
	if (starts_with_any(path, length, device, NELEM(device)) && !starts_with_any(path, length, memory, NELEM(memory)))
		return MAPPING_DEVICE;
	return length && path[0] != '[' ? MAPPING_FILE : inode ? MAPPING_FILE : MAPPING_ANON;
}

/* Is a shared mapping of a file below /dev, /proc or /sys the program's memory after all? The last answer holds for a whole row of mappings. */
static bool in_memory(const struct mapping *m, const char *path, size_t length, uint32_t minor)
{
	static ANSWER(3) char name[512]; /* under the collect lock */
	static uint64_t inode, device;
	static bool answer;
	const uint64_t this_device = (uint64_t)m->major << 32 | minor;
	if (length >= sizeof name || path[0] != '/')
		return false;
	if (m->inode == inode && this_device == device)
		return answer;
	memcpy(name, path, length);
	name[length] = 0;
	inode = m->inode;
	device = this_device;
	return answer = os_memory_file(name, m->major, minor, inode);
}

bool maps_parse_line(const char *line, size_t length, struct mapping *m)
{
	struct cursor c = { line, line + length };
	uint64_t low, high, offset, major, minor, inode;
	if (!take_number(&c, 16, &low) || !take_char(&c, '-') || !take_number(&c, 16, &high) || !take_char(&c, ' '))
		return false;
	if (!take_flags(&c, &m->flags) || !take_char(&c, ' ') || !take_number(&c, 16, &offset) || !take_char(&c, ' '))
		return false;
	if (!take_number(&c, 16, &major) || !take_char(&c, ':') || !take_number(&c, 16, &minor) || !take_char(&c, ' '))
		return false;
	if (!take_number(&c, 10, &inode) || low >= high || (low | high) & 4095 || major > UINT32_MAX)
		return false;
	while (c.p < c.end && *c.p == ' ')
		c.p++;
	m->low = low;
	m->high = high;
	m->inode = inode;
	m->offset = offset;
	m->major = (uint32_t)major;
	m->held = UINT64_MAX;
	m->swapped = m->huge = m->watched = false;
	m->kind = kind_of(c.p, (size_t)(c.end - c.p), inode);
	m->memory = m->kind == MAPPING_DEVICE && m->flags & MAPPING_SHARED && in_memory(m, c.p, (size_t)(c.end - c.p), (uint32_t)minor);
	return true;
}

void maps_parse_field(const char *line, size_t length, struct mapping *m)
{
	bool shared = m->flags & MAPPING_SHARED, swap = starts(line, length, "Swap:");
	if (starts(line, length, "VmFlags:")) { /* two letters each: um, uw and ui are userfaultfd's, ht is hugetlb's */
		for (size_t i = sizeof "VmFlags:"; i + 1 < length; i += 3) {
			m->watched |= line[i] == 'u' && (line[i + 1] == 'm' || line[i + 1] == 'w' || line[i + 1] == 'i');
			m->huge |= line[i] == 'h' && line[i + 1] == 't';
		}
		return;
	}
	if (!swap && !starts(line, length, shared ? "Rss:" : "Anonymous:") && !starts(line, length, "Private_Hugetlb:") &&
	    !starts(line, length, "Shared_Hugetlb:"))
		return;
	struct cursor c = { memchr(line, ':', length), line + length };
	uint64_t kib;
	for (c.p++; c.p < c.end && *c.p == ' '; c.p++)
		;
	if (!take_number(&c, 10, &kib))
		kib = 1; /* unreadable: assume something is there */
	if (m->held == UINT64_MAX)
		m->held = 0;
	m->held += kib * 1024;
	m->swapped |= swap && kib;
}

/* -- the list -- */

static bool field_line(const char *line) { return *line >= 'A' && *line <= 'Z'; }

enum taken { TAKEN, ENOUGH, WRONG };

/* Gives one line to the list; counts on when the table is full. */
static enum taken take_line(struct maps *list, const char *line, size_t length)
{
	if (length && field_line(line)) {
		if (list->count && list->count <= list->room)
			maps_parse_field(line, length, &list->at[list->count - 1]);
		return TAKEN;
	}
	struct mapping m;
	if (!maps_parse_line(line, length, &m))
		return WRONG;
	if (list->count && list->count <= list->room && m.low < list->at[list->count - 1].high)
		return WRONG; /* not rising: something changed under us */
	if (list->count < list->room)
		list->at[list->count] = m;
	list->count++;
	return TAKEN;
}

/* Gives each line of the file to take, until that has enough. false: unreadable, or take says so. */
static bool each_line(struct maps *list, int fd, enum taken (*take)(struct maps *list, const char *line, size_t length))
{
	size_t filled = 0;
	for (;;) {
		if (filled == sizeof buffer)
			return false; /* a line longer than any kernel writes */
		long n = os_read(fd, buffer + filled, sizeof buffer - filled);
		if (n <= 0)
			return n == 0 && filled == 0;
		filled += (size_t)n;
		char *line = buffer, *end = buffer + filled, *newline;
		while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
			const enum taken taken = take(list, line, (size_t)(newline - line));
			if (taken != TAKEN)
				return taken == ENOUGH;
			line = newline + 1;
		}
		filled = (size_t)(end - line);
		memmove(buffer, line, filled);
	}
}

bool maps_read_lines(struct maps *list, int fd)
{
	list->count = 0;
	return each_line(list, fd, take_line) && list->count > 0;
}

/* Under the collect lock: what maps_look_closer is at, and where it ends. */
static struct mapping *looked;
static uintptr_t look_end;

static enum taken look_line(struct maps *list, const char *line, size_t length)
{
	struct mapping m;
	if (length && field_line(line)) {
		if (looked && starts(line, length, "VmFlags:"))
			maps_parse_field(line, length, looked);
		return TAKEN;
	}
	if (!maps_parse_line(line, length, &m))
		return WRONG;
	looked = (struct mapping *)maps_find(list, m.low);
	return m.low >= look_end ? ENOUGH : !looked || looked->low != m.low || looked->high != m.high ? WRONG : TAKEN;
}

bool maps_look_closer(struct maps *list, uintptr_t end)
{
	const int fd = os_open_proc("smaps");
	looked = NULL;
	look_end = end;
	const bool done = fd >= 0 && each_line(list, fd, look_line);
	if (fd >= 0)
		os_close(fd);
	return done;
}

static bool enlarge(struct maps *list, size_t room)
{
	size_t old = align_up(list->room * sizeof *list->at, 4096), bytes = align_up(room * sizeof *list->at, 4096);
	void *at = old ? os_remap(list->at, old, bytes) : os_map(bytes);
	if (!at)
		return false;
	list->at = at;
	list->room = room;
	return true;
}

bool maps_reserve(struct maps *list) { return list->room || enlarge(list, FIRST_ROOM); }

bool maps_read(struct maps *list, const char *name)
{
	if (fault(FAULT_maps))
		return false;
	if (!maps_reserve(list))
		return false;
	for (int i = 0; i < TRIES; i++) {
		int fd = os_open_proc(name);
		if (fd < 0)
			return false;
		bool ok = maps_read_lines(list, fd);
		os_close(fd);
		if (!ok)
			return false;
		if (list->count <= list->room)
			return true;
		if (!enlarge(list, list->count + list->count / 4))
			return false;
	}
	return false;
}

const struct mapping *maps_find(const struct maps *list, uintptr_t address)
{
	size_t low = 0, high = list->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (list->at[mid].high <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < list->count && list->at[low].low <= address ? &list->at[low] : NULL;
}
