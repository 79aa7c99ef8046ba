/*
 * Words that the kernel keeps for the program and hands back later: one table of rows, each with the name under which the kernel
 * keeps it, and a rule for its end.
 *
 *   kind              name (key)              a row ends
 *   KERNEL_TIMER      timer id                by timer_delete; its value may then be queued still and becomes a KERNEL_SIGNAL
 *   KERNEL_NOTIFY     queue descriptor        by the next mq_notify or mq_close of that descriptor; then as above
 *   KERNEL_SIGNAL     its words               at the first stop that finds the signal pending nowhere in the process
 *   KERNEL_ABROAD     its words               ABROAD_NS after it was sent to another process, which may send it back
 *   KERNEL_AIO        the aiocb               at the first stop that finds it done and its signal pending nowhere
 *   KERNEL_IOCB       context and iocb        when an event for it is fetched, it is cancelled, or its context destroyed
 *   KERNEL_URING      ring and user_data      when its last completion is seen (rings.c)
 *
 * Signals. The kernel copies a queued value to the frame of a handler, to the siginfo of a waiter or through a signalfd in
 * one piece with taking it off its queue, as far as a parked thread can tell: a thread parks in user mode only. So a stop that
 * reads "not pending" knows that the value is in memory, where it is a root by itself, or gone. Standard signals that found one of
 * their kind pending are dropped by the kernel; their rows go with it.
 *
 * Rows are told after a system call that creates and taken out before one that ends: the word stands in the caller's frame meanwhile.
 * The other way round, two threads could meet on a number that the kernel gives out anew.
 *
 * A forked child inherits none of it but rings, and keeps all rows: signals and aio end by their rule, the others are overwritten
 * when a number comes again. A child may have added rows of its own before its first slow path tells that it is one.
 *
 * Same lock and same busy rule as tables.c; the collector changes rows inside the stop.
 */
#include "base/options.h"
#include "base/text.h"
#include "heap/heap.h"
#include "mark/mark.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/roots.h"
#include "threads/threads.h"

#include <aio.h>
#include <errno.h>
#include <string.h>

enum { FIRST_ROWS = 256, GONE = 255 };
static const uint64_t ABROAD_NS = 60000000000u; /* a minute: far above any answer that a program waits for */

static struct kernel_row *rows; /* kind 0: never used; GONE: was used, probing goes on */
static size_t room, used, live; /* used: GONE included */

static uint64_t hash_of(unsigned kind, uint64_t key)
{
	key = (key ^ kind) * 0x9E3779B97F4A7C15u;
	return (key ^ key >> 29) * 0xBF58476D1CE4E5B9u >> 16;
}

static struct kernel_row *place_for(struct kernel_row *table, size_t n, const struct kernel_row *row)
{
	size_t i = hash_of(row->kind, row->key) & (n - 1);
	while (table[i].kind && table[i].kind != GONE)
		i = (i + 1) & (n - 1);
	return &table[i];
}

static bool more_room(void)
{
	if (used < room / 2)
		return true;
	size_t n = FIRST_ROWS;
	while (n < 4 * (live + 1))
		n *= 2;
	struct kernel_row *bigger = os_map(align_up(n * sizeof *rows, OS_PAGE));
	if (!bigger)
		return false;
	for (size_t i = 0; i < room; i++)
		if (rows[i].kind && rows[i].kind != GONE)
			*place_for(bigger, n, &rows[i]) = rows[i];
	if (rows)
		os_unmap(rows, align_up(room * sizeof *rows, OS_PAGE));
	rows = bigger;
	room = n;
	used = live;
	return true;
}

static void end_row(struct kernel_row *row)
{
	row->kind = GONE;
	memset(row->words, 0, sizeof row->words);
	live--;
}

bool roots_ours(uintptr_t word)
{
	if (options.mode == MODE_OFF) /* no cycle asks, and no stop would end a row */
		return false;
	word &= options_tag_mask();
	return arena_contains(word) || arena_contains(word - 1) || mark_is_integer(word);
}

static bool holds_ours(const struct kernel_row *row)
{
	for (size_t i = 0; i < NELEM(row->words); i++)
		if (roots_ours(row->words[i]))
			return true;
	return false;
}

bool kernel_add(const struct kernel_row *row)
{
	if (!more_room())
		return false;
	struct kernel_row *place = place_for(rows, room, row);
	used += place->kind == 0;
	*place = *row;
	live++;
	return true;
}

bool kernel_take(enum kernel_kind kind, uint64_t key, struct kernel_row *out)
{
	if (!live)
		return false;
	for (size_t i = hash_of(kind, key) & (room - 1); rows[i].kind; i = (i + 1) & (room - 1))
		if (rows[i].kind == kind && rows[i].key == key) {
			*out = rows[i];
			end_row(&rows[i]);
			return true;
		}
	return false;
}

/* The rows of one user_data of one ring, from `place` on (NULL: the first); NULL: no more. */
static struct kernel_row *next_request(struct kernel_row *place, uint64_t user_data, uint64_t ring)
{
	if (!live)
		return NULL;
	size_t i = place ? (size_t)(place - rows) + 1 : hash_of(KERNEL_URING, user_data);
	for (i &= room - 1; rows[i].kind; i = (i + 1) & (room - 1))
		if (rows[i].kind == KERNEL_URING && rows[i].key == user_data && rows[i].context == ring)
			return &rows[i];
	return NULL;
}

bool kernel_add_counted(const struct kernel_row *row)
{
	for (struct kernel_row *r = NULL; (r = next_request(r, row->key, row->context));)
		if (memcmp(r->words, row->words, sizeof r->words) == 0) {
			r->count += row->count;
			return true;
		}
	return kernel_add(row);
}

void kernel_completed(uint64_t user_data, uint64_t ring)
{
	struct kernel_row *first = next_request(NULL, user_data, ring);
	uint64_t asked = 0, done = 0;
	if (!first)
		return;
	first->done++;
	for (struct kernel_row *r = NULL; (r = next_request(r, user_data, ring)); done += r->done)
		asked += r->count;
	if (done < asked)
		return;
	for (struct kernel_row *r = first; r; r = next_request(r, user_data, ring))
		end_row(r);
}

void kernel_drop_where(bool (*fn)(const struct kernel_row *row, uint64_t what), uint64_t what)
{
	for (size_t i = 0; live && i < room; i++)
		if (rows[i].kind && rows[i].kind != GONE && fn(&rows[i], what))
			end_row(&rows[i]);
}

void roots_kernel_add(const struct kernel_row *row)
{
	if (!holds_ours(row))
		return;
	tables_enter();
	if (!kernel_add(row))
		tables_set_full();
	tables_leave();
}

bool roots_kernel_take(enum kernel_kind kind, uint64_t key, struct kernel_row *out)
{
	if (!load_relaxed(&live)) /* most programs: nothing is held */
		return false;
	tables_enter();
	bool found = kernel_take(kind, key, out);
	tables_leave();
	return found;
}

void roots_kernel_context(uint64_t from, uint64_t to)
{
	if (!load_relaxed(&live))
		return;
	tables_enter();
	for (size_t i = 0; i < room; i++) {
		if (rows[i].kind != KERNEL_IOCB || rows[i].context != from)
			continue;
		rows[i].context = to;
		if (!to)
			end_row(&rows[i]);
	}
	tables_leave();
}

/* A program may send one value again and again, between two stops: it is one row. */
static bool signal_known(const struct kernel_row *row)
{
	if (!live)
		return false;
	for (size_t i = hash_of(row->kind, row->key) & (room - 1); rows[i].kind; i = (i + 1) & (room - 1)) {
		struct kernel_row *r = &rows[i];
		if (r->kind == row->kind && r->key == row->key && r->signal == row->signal && r->thread == row->thread
		    && memcmp(r->words, row->words, sizeof r->words) == 0) {
			r->context = row->context;
			return true;
		}
	}
	return false;
}

void roots_signal_sent(int target, bool thread, int signal, const uintptr_t words[3])
{
	struct kernel_row row = { .kind = KERNEL_SIGNAL, .signal = (uint8_t)signal, .thread = thread, .words = { words[0], words[1], words[2] } };
	if (!holds_ours(&row))
		return;
	if (target && target != os_pid() && !os_own_thread(target)) {
		row.kind = KERNEL_ABROAD;
		row.context = os_coarse_ns() + ABROAD_NS;
	}
	for (size_t i = 0; i < NELEM(row.words); i++)
		row.key = (row.key ^ row.words[i]) * 0x9E3779B97F4A7C15u;
	tables_enter();
	if (!signal_known(&row) && !kernel_add(&row))
		tables_set_full();
	tables_leave();
}

void roots_kernel_ended(const struct kernel_row *row)
{
	if (row->signal)
		roots_signal_sent(0, row->thread, row->signal, row->words);
}

/* -- inside the stop -- */

/* Adds the signals that a status file of /proc says are pending: its line `name`. false: unreadable. */
static bool read_pending(int fd, const char *name, uint64_t *mask)
{
	char text[4096];
	long n = fd < 0 ? fd : os_read(fd, text, sizeof text - 1);
	if (fd >= 0)
		os_close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	const char *p = strstr(text, name);
	if (!p)
		return false;
	uint64_t bits = 0;
	for (p += strlen(name); *p == ' ' || *p == '\t'; p++)
		;
	for (; *p && *p != '\n'; p++)
		bits = bits << 4 | (uint64_t)(*p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10);
	*mask |= bits;
	return true;
}

/* Signals that are pending for the process, and with `threads` for any thread too. What can't be read counts as pending. */
static uint64_t pending(bool threads)
{
	uint64_t mask = 0;
	if (!read_pending(os_open_proc("status"), "ShdPnd:", &mask))
		return UINT64_MAX;
	for (size_t i = 0, n = threads ? threads_count() : 0; i < n; i++) {
		char path[64];
		text_format(path, sizeof path, "/proc/self/task/%d/status", threads_root(i)->tid);
		int fd = os_open(path, 0, 0);
		if (fd != -ENOENT && !read_pending(fd, "SigPnd:", &mask))
			return UINT64_MAX;
	}
	return mask;
}

static bool aio_done(uintptr_t block)
{
	int code = 0;
	return os_read_self(&code, block + offsetof(struct aiocb, __error_code), sizeof code) != (long)sizeof code || code != EINPROGRESS;
}

static struct {
	bool known, threads_known;
	uint64_t process, threads;
	uint64_t now;
} seen;

static bool still_pending(const struct kernel_row *row)
{
	if (row->thread && !seen.threads_known) {
		seen.threads = pending(true);
		seen.threads_known = true;
	}
	if (!row->thread && !seen.known) {
		seen.process = pending(false);
		seen.known = true;
	}
	uint64_t mask = row->thread ? seen.threads : seen.process;
	return row->signal == 0 || row->signal > 64 || mask >> (row->signal - 1) & 1;
}

static bool over(const struct kernel_row *row)
{
	switch (row->kind) {
	case KERNEL_SIGNAL:
		return !still_pending(row);
	case KERNEL_ABROAD:
		return seen.now > row->context;
	case KERNEL_AIO:
		return aio_done((uintptr_t)row->key) && !(row->signal && still_pending(row));
	default:
		return false;
	}
}

size_t kernel_each(void (*fn)(uintptr_t word), unsigned without)
{
	size_t words = 0;
	seen.known = seen.threads_known = false;
	seen.now = live ? os_coarse_ns() : 0;
	for (size_t i = 0; live && i < room; i++) {
		struct kernel_row *row = &rows[i];
		if (!row->kind || row->kind == GONE)
			continue;
		if (over(row)) {
			end_row(row);
			continue;
		}
		for (size_t w = 0; w < NELEM(row->words) && !(without >> row->kind & 1); w++, words++)
			fn(row->words[w]);
	}
	return words;
}

void kernel_memory(void (*fn)(uintptr_t low, uintptr_t high)) { fn((uintptr_t)rows, (uintptr_t)(rows + room)); }
