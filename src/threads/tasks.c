/*
 * Which threads exist: /proc/self/task read by raw getdents64, and the table of records by TID.
 *
 *   table (open addressing) ──▶ index ──▶ chunk of records, each chunk twice the one before, never unmapped
 *
 * Handlers look into the table at any time, also a late one while the collector rebuilds it: entries are single words,
 * a record says whose it is, and a handler that misses its record merely fails to answer. A table that was outgrown stays
 * mapped for such a reader; doubling bounds the waste by the size of the last one.
 *
 * One pass can miss a thread: when a task dies between two reads, the kernel finds its place again by counting (proc/base.c,
 * first_tid), and it ends the listing early when the task it stands on dies (next_tid). So a pass also compares what it was shown
 * with the number of threads, which the link count of the directory tells (proc_task_getattr, 2 + threads).
 */
#include "base/fault.h"
#include "base/text.h"
#include "os/os.h"
#include "threads/room.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum { FIRST_CHUNK = 8, CHUNKS = 20, FIRST_TABLE = 256, STAT_ROOM = 512 };

struct entry_table {
	uint64_t size;      /* bytes of this mapping */
	uint32_t mask;
	uint64_t slots[];   /* atomic: TID << 32 | index, 0 empty */
};

static STEADY struct record *chunks[CHUNKS];
static uint32_t record_top;            /* records ever used */
static STEADY uint32_t record_free[256];      /* a few indices to use again; what does not fit is found by a scan */
static uint32_t record_free_count;
static struct entry_table *table;      /* atomic: released after its contents, read by handlers */
static STEADY struct { void *p; size_t size; } outgrown[24];
static unsigned outgrown_count;
static uint32_t used_slots;
static size_t active_room;
uint32_t *tasks_active;
uint32_t tasks_count;
static unsigned worker_flags;          /* bits of a stat's flags that mean kernel worker, on this kernel */

enum { FLAG_EXITING = 0x4, FLAG_IO_WORKER = 0x10, FLAG_USER_WORKER = 0x4000 };

/* The two bits meant other things before (0x10 was PF_VCPU, a hypervisor's ordinary thread, until 5.12). */
void tasks_start(void)
{
	struct utsname u;
	unsigned v[2] = { 0, 0 }, part = 0;
	u.release[0] = 0;
	if (syscall1(SYS_uname, (long)&u) == 0)
		for (const char *c = u.release; *c && part < 2; c++) {
			if (*c >= '0' && *c <= '9')
				v[part] = v[part] * 10 + (unsigned)(*c - '0');
			else if (*c == '.')
				part++;
			else
				break;
		}
	unsigned version = v[0] * 1000 + v[1];
	worker_flags = (version >= 5012 ? FLAG_IO_WORKER : 0) | (version >= 6004 ? FLAG_USER_WORKER : 0);
}

BARE struct record *task_record(uint32_t index)
{
	unsigned k = 31u - (unsigned)__builtin_clz(index / FIRST_CHUNK + 1);
	return &chunks[k][index - FIRST_CHUNK * ((1u << k) - 1)];
}

static inline uint32_t hash(uint32_t tid) { return tid * 2654435769u >> 7; }

BARE struct record *task_find(uint32_t tid)
{
	struct entry_table *t = load_acquire(&table);
	if (!t)
		return NULL;
	uint32_t mask = t->mask;
	for (uint32_t i = tid * 2654435769u >> 7, n = 0; n <= mask; i++, n++) {
		uint64_t e = load_acquire(&t->slots[i & mask]);
		if (e == 0)
			return NULL;
		if (e >> 32 == tid) {
			struct record *r = task_record((uint32_t)e);
			return load_relaxed(&r->tid) == tid ? r : NULL;
		}
	}
	return NULL;
}

/* Entries are released: the record's TID is written before. */
static void table_put(struct entry_table *t, uint32_t tid, uint32_t index)
{
	uint32_t i = hash(tid);
	while (load_relaxed(&t->slots[i & t->mask]))
		i++;
	store_release(&t->slots[i & t->mask], (uint64_t)tid << 32 | index);
	used_slots++;
}

static bool table_grow(void)
{
	uint32_t slots = table ? (table->mask + 1) * 2 : FIRST_TABLE;
	size_t size = align_up(sizeof(struct entry_table) + slots * sizeof(uint64_t), 4096);
	struct entry_table *t = os_map(size);
	if (!t || outgrown_count == NELEM(outgrown))
		return false;
	t->size = size;
	t->mask = slots - 1;
	used_slots = 0;
	for (uint32_t i = 0; i < tasks_count; i++)
		table_put(t, task_record(tasks_active[i])->tid, tasks_active[i]);
	if (table) {
		outgrown[outgrown_count].p = table;
		outgrown[outgrown_count++].size = table->size;
	}
	store_release(&table, t);
	return true;
}

static void table_rebuild(void)
{
	if (!table)
		return;
	for (uint32_t i = 0; i <= table->mask; i++)
		store_relaxed(&table->slots[i], 0);
	used_slots = 0;
	for (uint32_t i = 0; i < tasks_count; i++)
		table_put(table, task_record(tasks_active[i])->tid, tasks_active[i]);
}

/* tid 0 marks a record that is in nobody's use. */
static bool record_take(uint32_t *index)
{
	if (record_free_count == 0 && tasks_count < record_top)
		for (uint32_t i = 0; i < record_top && record_free_count < NELEM(record_free); i++)
			if (task_record(i)->tid == 0)
				record_free[record_free_count++] = i;
	if (record_free_count) {
		*index = record_free[--record_free_count];
		return true;
	}
	unsigned k = 31u - (unsigned)__builtin_clz(record_top / FIRST_CHUNK + 1);
	if (k >= CHUNKS)
		return false;
	if (!chunks[k] && !(chunks[k] = os_map(align_up(sizeof(struct record) * (FIRST_CHUNK << k), 4096))))
		return false;
	*index = record_top++;
	return true;
}

struct record *task_add(uint32_t tid)
{
	uint32_t index;
	if (tasks_count * sizeof(uint32_t) == active_room) {
		uint32_t *a = tasks_active ? os_remap(tasks_active, active_room, active_room * 2) : os_map(4096);
		if (!a)
			return NULL;
		tasks_active = a;
		active_room = active_room ? active_room * 2 : 4096;
	}
	if ((!table || used_slots * 2 >= table->mask) && !table_grow())
		return NULL;
	if (!record_take(&index))
		return NULL;
	struct record *r = task_record(index);
	store_relaxed(&r->tid, tid);
	r->state = TASK_UNKNOWN;
	r->signalled = false;
	r->seen = 0;
	store_relaxed(&r->answered, 0);
	tasks_active[tasks_count++] = index;
	table_put(table, tid, index);
	return r;
}

void tasks_drop_gone(void)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < tasks_count; i++) {
		struct record *r = task_record(tasks_active[i]);
		if (r->state != TASK_GONE)
			tasks_active[kept++] = tasks_active[i];
		else
			store_relaxed(&r->tid, 0);
	}
	if (kept == tasks_count)
		return;
	tasks_count = kept;
	record_free_count = 0;
	table_rebuild();
}

void tasks_forget_all(void)
{
	for (uint32_t i = 0; i < tasks_count; i++)
		task_record(tasks_active[i])->state = TASK_GONE;
	tasks_drop_gone();
}

void tasks_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (unsigned k = 0; k < CHUNKS; k++)
		if (chunks[k])
			fn((uintptr_t)chunks[k],
			   (uintptr_t)chunks[k] + align_up(sizeof(struct record) * (FIRST_CHUNK << k), 4096));
	if (table)
		fn((uintptr_t)table, (uintptr_t)table + table->size);
	for (unsigned i = 0; i < outgrown_count; i++)
		fn((uintptr_t)outgrown[i].p, (uintptr_t)outgrown[i].p + outgrown[i].size);
	if (tasks_active)
		fn((uintptr_t)tasks_active, (uintptr_t)tasks_active + active_room);
}

/* -- the list -- */

struct dirent_raw {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};
static ANSWER(1) char listing[4 * 1024] __attribute__((aligned(8))); /* collector only */

static uint32_t number_of(const char *s)
{
	uint32_t n = 0;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (uint32_t)(*s - '0');
	return *s ? 0 : n;
}

/* Threads of this process, as the kernel counts them; 0: it does not say. */
static uint32_t thread_count(int fd)
{
	struct statx x;
	struct stat st = { 0 };
	x.stx_nlink = 0;
	if (syscall6(SYS_statx, fd, (long)"", 0x1000 /* AT_EMPTY_PATH */, STATX_NLINK, (long)&x, 0) < 0) {
		if (syscall2(SYS_fstat, fd, (long)&st) < 0) /* old kernels and filters do not know statx */
			return 0;
		x.stx_nlink = (uint32_t)st.st_nlink;
	}
	return x.stx_nlink > 2 ? x.stx_nlink - 2 : 0;
}

bool tasks_own(void)
{
	char path[40];
	text_format(path, sizeof path, "/proc/self/task/%d", os_tid());
	int fd = fault(FAULT_task_list) ? -1 : os_open(path, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		os_close(fd);
	return fd >= 0;
}

enum abort_reason tasks_pass(struct task_pass *pass, enum abort_reason (*fn)(uint32_t tid, uint32_t number), uint32_t number)
{
	uint32_t self_tid = (uint32_t)os_tid();
	int fd = fault(FAULT_task_list) ? -1 : os_open("/proc/self/task", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return ABORT_TASK_LIST;
	pass->listed = 0;
	pass->own = false;
	uint32_t before = thread_count(fd);
	enum abort_reason reason = ABORT_NONE;
	long n;
	while (reason == ABORT_NONE && (n = syscall3(SYS_getdents64, fd, (long)listing, sizeof listing)) > 0)
		for (long at = 0; at < n && reason == ABORT_NONE;) {
			struct dirent_raw *d = (struct dirent_raw *)(listing + at);
			at += d->length;
			uint32_t tid = number_of(d->name);
			if (tid == 0)
				continue;
			pass->listed++;
			pass->own |= tid == self_tid;
			reason = fn(tid, number);
		}
	if (reason == ABORT_NONE && n < 0)
		reason = ABORT_TASK_LIST;
	pass->steady = before == pass->listed && thread_count(fd) == before;
	os_close(fd);
	return reason == ABORT_NONE && !pass->own ? ABORT_TASK_LIST : reason;
}

/* "TID (name) S ppid pgrp session tty tpgid flags ...": the name may hold anything, so count from the last ')'. */
enum task_state task_parse_stat(const char *text, size_t n, struct task_signs *signs)
{
	const char *s = text + n, *end = s;
	*signs = (struct task_signs){ false, false };
	while (s > text && s[-1] != ')')
		s--;
	if (s == text || end - s < 3)
		return TASK_AWAITED;
	char state = s[1];
	unsigned field = 0;
	unsigned long flags = 0;
	for (s++; s < end && field <= 6; s++) {
		if (*s == ' ')
			field++;
		else if (field == 6)
			flags = flags * 10 + (unsigned long)(*s - '0');
	}
	if (field <= 6) /* cut off: half a number says nothing */
		flags = 0;
	if (state == 'Z' || state == 'X' || (flags & worker_flags))
		return TASK_SKIPPED;
	signs->exiting = flags & FLAG_EXITING;
	signs->runnable = state == 'R';
	return TASK_AWAITED;
}

/* `text`, STAT_ROOM bytes, names the file and receives its contents. */
static enum task_state classify(char *text, struct task_signs *signs)
{
	*signs = (struct task_signs){ false, false };
	int fd = os_open(text, O_RDONLY, 0);
	long n = fd < 0 ? -1 : os_read(fd, text, STAT_ROOM);
	if (fd >= 0)
		os_close(fd);
	if (n <= 0)
		return fd == -2 /* ENOENT */ || n == -3 /* ESRCH */ ? TASK_GONE : TASK_AWAITED;
	return task_parse_stat(text, (size_t)n, signs);
}

enum task_state task_classify(uint32_t tid, struct task_signs *signs)
{
	char text[STAT_ROOM];
	text_format(text, sizeof text, "/proc/self/task/%u/stat", tid);
	return classify(text, signs);
}

enum task_state process_state(int pid, struct task_signs *signs)
{
	char text[STAT_ROOM];
	text_format(text, sizeof text, "/proc/%d/stat", pid);
	return classify(text, signs);
}
