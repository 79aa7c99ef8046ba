/*
 * What only the kernel holds, as the shim saw it go there: epoll data words by (epfd, fd), and single words held by hand.
 *
 * Both tables live in own mappings and change under one lock. A thread that changes them is busy, so that a stop never finds
 * one half changed and the collector needs no lock to read them (it could be a stopped thread's).
 *
 * epoll_ctl, sigqueue and fork may be called in handlers, and a handler may leave by longjmp or pthread_exit. So signals are blocked
 * from before the lock is taken until after it is dropped: a handler neither waits for what its own thread holds nor leaves it held.
 * Wrappers do the same around the real call, where the kernel must not have a word that no table has yet (roots_guard_enter).
 *
 * An epoll row keeps the word before its last one too: the shim tells after the system call, so two MODs of two threads may be told in
 * another order than the kernel saw. And `older`, the word that an ADD of a known pair found: an ADD succeeds then only because
 * fd was closed, and while a duplicate of it lives, the kernel holds both words. DEL takes the newer registration
 * away, not that one. One is kept a row: servers that close without DEL would fill any longer chain with connections
 * that are gone; a program that does this twice to one number with both duplicates alive is not covered. A row is made only for a word inside the window; closing fd drops no row (a duplicate
 * may keep the registration alive), the next ADD of that number takes it over.
 */
#include "base/fault.h"
#include "base/lock.h"
#include "heap/heap.h"
#include "heap/self.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/roots.h"
#include "threads/threads.h"

#include <sys/epoll.h>

enum { FIRST_ROWS = 1024, FIRST_HELD = 1024 };

struct row { /* key 0: never used; data, before and older 0: deleted, the key stays so that probing goes on */
	uint64_t key;
	uintptr_t data, before, older;
};
static struct row *rows;
static size_t row_room, row_used; /* used: keys set, deleted ones included */

struct held {
	uintptr_t word;
	uint32_t next_free; /* index + 1 */
	bool taken;
};
static struct held *held;
static size_t held_room;
static uint32_t held_free;

static struct lock lock = LOCK_INIT(RANK_ROOTS);
static bool full; /* a word could not be kept: no cycle may judge any more */

void roots_guard_enter(struct roots_guard *g)
{
	g->blocked = !self.guarded && threads_block_handlers(&g->mask);
	if (g->blocked)
		self.guarded = 1;
}

void roots_guard_leave(const struct roots_guard *g)
{
	if (!g->blocked)
		return;
	self.guarded = 0;
	threads_restore_signals(g->mask);
}

static struct roots_guard holder; /* of whoever holds the lock */

void tables_enter(void)
{
	struct roots_guard g;
	roots_guard_enter(&g);
	busy_enter();
	lock_take(&lock);
	holder = g;
}

void tables_leave(void)
{
	const struct roots_guard g = holder;
	lock_drop(&lock);
	busy_leave();
	roots_guard_leave(&g);
}

/* -- epoll -- */

static uint64_t key_of(int epfd, int fd) { return (uint64_t)(uint32_t)epfd << 32 | (uint32_t)fd | 1ull << 63; }

static struct row *find_row(struct row *table, size_t room, uint64_t key)
{
	size_t i = (size_t)((key ^ key >> 29) * 0x9E3779B97F4A7C15u >> 20) & (room - 1);
	while (table[i].key && table[i].key != key)
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* Room for one more key: the table stays at most half full. Deleted rows are left behind. */
static bool rows_room(void)
{
	if (row_room && row_used < row_room / 2)
		return true;
	size_t live = 0;
	for (size_t i = 0; i < row_room; i++)
		live += rows[i].data || rows[i].before || rows[i].older;
	size_t room = FIRST_ROWS;
	while (room < 4 * (live + 1))
		room *= 2;
	struct row *bigger = os_map(align_up(room * sizeof *rows, OS_PAGE));
	if (!bigger)
		return false;
	for (size_t i = 0; i < row_room; i++)
		if (rows[i].data || rows[i].before || rows[i].older)
			*find_row(bigger, room, rows[i].key) = rows[i];
	if (rows)
		os_unmap(rows, align_up(row_room * sizeof *rows, OS_PAGE));
	rows = bigger;
	row_room = room;
	row_used = live;
	return true;
}

void tables_epoll(int epfd, int op, int fd, uint64_t data)
{
	uint64_t key = key_of(epfd, fd);
	bool ours = roots_ours((uintptr_t)data);
	struct row *row = row_room ? find_row(rows, row_room, key) : NULL;
	bool known = row && row->key;
	if (op == EPOLL_CTL_DEL) {
		if (known)
			row->data = row->before = 0;
	} else if (known) {
		if (op == EPOLL_CTL_ADD && (row->data || row->before))
			row->older = row->data ? row->data : row->before;
		row->before = op == EPOLL_CTL_MOD ? row->data : 0;
		row->data = ours ? (uintptr_t)data : 0;
	} else if (ours) {
		if (rows_room()) {
			row = find_row(rows, row_room, key);
			*row = (struct row){ key, (uintptr_t)data, 0, 0 };
			row_used++;
		} else
			full = true;
	}
}

void roots_epoll(int epfd, int op, int fd, uint64_t data)
{
	tables_enter();
	tables_epoll(epfd, op, fd, data);
	tables_leave();
}

void roots_epoll_closed(int epfd)
{
	if (!load_relaxed(&row_room)) /* most closes: no table yet */
		return;
	tables_enter();
	for (size_t i = 0; i < row_room; i++)
		if (rows[i].key >> 32 == key_of(epfd, 0) >> 32)
			rows[i].data = rows[i].before = rows[i].older = 0;
	tables_leave();
}

/* -- words held by hand -- */

static bool held_grow(void)
{
	size_t room = held_room ? 2 * held_room : FIRST_HELD;
	void *at = held ? os_remap(held, align_up(held_room * sizeof *held, OS_PAGE), align_up(room * sizeof *held, OS_PAGE))
	                : os_map(align_up(room * sizeof *held, OS_PAGE));
	if (!at)
		return false;
	held = at;
	for (size_t i = room; i-- > held_room;) {
		held[i] = (struct held){ 0, held_free, false };
		held_free = (uint32_t)i + 1;
	}
	held_room = room;
	return true;
}

int roots_hold(uintptr_t word)
{
	int handle = -1;
	tables_enter();
	if (held_free || held_grow()) {
		struct held *h = &held[held_free - 1];
		handle = (int)(held_free - 1);
		held_free = h->next_free;
		*h = (struct held){ word, 0, true };
	} else
		full = true;
	tables_leave();
	return handle;
}

void roots_drop(int handle)
{
	if (handle < 0)
		return;
	tables_enter();
	if ((size_t)handle < held_room && held[handle].taken) {
		held[handle] = (struct held){ 0, held_free, false };
		held_free = (uint32_t)handle + 1;
	}
	tables_leave();
}

/* -- for the collector, inside the stop -- */

bool tables_full(void) { return full; }
void tables_set_full(void) { full = true; }

size_t tables_each(void (*fn)(uintptr_t word), bool with_epoll)
{
	size_t words = 0;
	for (size_t i = 0; with_epoll && i < row_room; i++) {
		if (!rows[i].data && !rows[i].before && !rows[i].older)
			continue;
		fn(rows[i].data);
		fn(rows[i].before);
		fn(rows[i].older);
		words += 3;
	}
	for (size_t i = 0; i < held_room; i++)
		if (held[i].taken) {
			fn(held[i].word);
			words++;
		}
	return words;
}

bool tables_know_epoll(int set, int fd, uintptr_t word)
{
	const struct row *row = row_room ? find_row(rows, row_room, key_of(set, fd)) : NULL;
	return row && row->key && (row->data == word || row->before == word || row->older == word);
}

void tables_memory(void (*fn)(uintptr_t low, uintptr_t high))
{
	fn((uintptr_t)rows, (uintptr_t)(rows + row_room));
	fn((uintptr_t)held, (uintptr_t)(held + held_room));
}

/* Tables are whole in the child: fork holds their lock. */
void tables_lock(void) { lock_take(&lock); }
void tables_unlock(void) { lock_drop(&lock); }
void tables_forked(void) { lock_reset(&lock); }
