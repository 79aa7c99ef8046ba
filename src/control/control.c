/*
 * When the process is asked: by somebody who connects, by the timer of interval=, or by our own timer that tries again.
 *
 *   kernel: signal 33, from the socket (O_ASYNC) or a timer ──▶ stop handler ──▶ heap_hooks.asked
 *   1. What is asked is noted.
 *   2. Is this a moment to serve? Not in a slow path of the heap, with a lock of ours (the program is at a report of its own), in a cycle, a
 *      fork, a stop: then a timer of a few ms brings us back.
 *   3. One thread serves, on a stack of ours (threads_run_aside), until nothing is noted any more. Who comes meanwhile leaves a note.
 *
 * Signal 33 reaches a thread that blocks everything; it goes to the process, so the kernel chooses a thread that is alive, and a program that sleeps
 * in accept() is woken, answers and sleeps on. The wrappers hide that as they hide a stop.
 *
 * fork: the child closes our descriptor and listens 200 ms later, for most children are another program by then. exec: no signal of ours
 * may be on its way (it would kill the new image): control_pause. Timers are no danger there: exec deletes them with their signals.
 *
 * Without room for queued signals (RLIMIT_SIGPENDING) the kernel would send SIGIO instead, which kills: then nobody rings, and the timer,
 * whose signal has its room beforehand, looks twice a second.
 *
 * Only `serve` (one thread), start, end and a forked child touch the socket and its name; the descriptor's number is also moved by
 * control_make_way, under `serving`.
 */
#include "control/control.h"
#include "control/parts.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "report/report.h"
#include "roots/roots.h"
#include "threads/threads.h"
#include "base/lock.h"
#include "base/options.h"
#include "base/text.h"
#include "os/local.h"
#include "os/os.h"

#include <errno.h>

enum {
	STACK = 256 << 10,          /* a report is written on it */
	QUEUE = 8,                  /* connections that may wait */
	SERVED_AT_ONCE = 4,         /* then the program goes on for a moment */
	SIGNALS_ROOM = 64,          /* with a lower RLIMIT_SIGPENDING nobody rings (tools/cgc/client.c knows it too) */
	TRIES = 60                  /* of a moment that never comes: the next connection starts anew */
};
#define MS 1000000ull
enum { ASK_CONNECTION = 1, ASK_TICK = 2 };
enum { VALUE_AGAIN = 0x63676301, VALUE_TICK = 0x63676302 }; /* what our timers carry */

int control_descriptor = -1;
static char folder[FOLDER_MOST], name[NAME_MOST]; /* name: "" when there is no socket */
static uint64_t inode;          /* of the socket behind control_descriptor */
static bool listens;            /* we are to listen at all */
static unsigned interval;       /* seconds; 0: none */
static char *stack;
static int owner;               /* process that all of this belongs to */
static int timer_again = -1, timer_tick = -1;
static uint64_t look_every;     /* ns; 0: connections ring */
static bool ended;              /* control_end ran */
static uint32_t notes;          /* atomic: ASK_* */
static uint32_t serving;        /* atomic: one thread serves, or moves the descriptor */
static uint32_t paused;         /* atomic: execs on their way */
static uint32_t tries;          /* atomic */

static void again_in(uint64_t ns)
{
	if (timer_again >= 0)
		os_timer_set(timer_again, ns, look_every);
}

/* ---- the socket ---- */

/* The number still means our socket: programs close what they find. */
static bool is_ours(int fd) { return fd >= 0 && os_inode(fd) == inode; }

bool control_owns(int fd) { return fd >= 0 && fd == load_relaxed(&control_descriptor) && is_ours(fd); }

/* false: neither can the kernel ring nor is there a timer to look by. */
static bool ring(int fd)
{
	look_every = os_signals_room(SIGNALS_ROOM) && os_local_ring(fd, threads_signal(), owner) == 0 ? 0 : 500 * MS;
	if (look_every)
		again_in(look_every);
	return !look_every || timer_again >= 0;
}

static bool open_socket(void)
{
	int fd = folder_bind(folder, owner, name);
	if ((fd == -EPERM || fd == -EACCES) && !folder_choose_again(folder)) /* another user's now */
		fd = folder_bind(folder, owner, name);
	if (fd < 0)
		return false;
	fd = os_move_high(fd);
	if (os_local_listen(fd, QUEUE) < 0 || !ring(fd)) {
		os_close(fd);
		folder_unbind(folder, name);
		name[0] = 0;
		return false;
	}
	inode = os_inode(fd);
	store_release(&control_descriptor, fd);
	return true;
}

static void close_socket(void)
{
	int fd = load_relaxed(&control_descriptor);
	store_relaxed(&control_descriptor, -1);
	if (is_ours(fd))
		os_close(fd);
}

/* ---- serving ---- */

static void answer_all(void)
{
	for (int n = 0; n < SERVED_AT_ONCE; n++) {
		int fd = load_relaxed(&control_descriptor), connection;
		if (!is_ours(fd) || (connection = os_local_accept(fd)) < 0)
			return;
		connection = os_move_high(connection);
		serve_connection(connection);
		os_close(connection);
	}
	again_in(5 * MS);
}

static void serve(void *unused)
{
	uint32_t asked = __atomic_exchange_n(&notes, 0, __ATOMIC_SEQ_CST);
	store_relaxed(&tries, 0);
	if (listens && !is_ours(load_relaxed(&control_descriptor))) {
		store_relaxed(&control_descriptor, -1);
		open_socket();
	}
	if (asked & ASK_TICK)
		report_tick();
	answer_all();
}

static bool good_moment(void)
{
	return self.busy == 0 && !lock_any_held() && !self.in_collector && !threads_stopped() && !os_is_confined() && os_pid() == owner;
}

/* Each round sees the notes left up to it; who finds `serving` set leaves a note before, and we look after clearing it (seq_cst). */
static void attend(void)
{
	while (__atomic_load_n(&notes, __ATOMIC_SEQ_CST) && !load_relaxed(&paused) && !ended) {
		if (!good_moment()) {
			uint32_t n = add_relaxed(&tries, 1);
			if (n < TRIES)
				again_in((2 * MS) << (n / 8));
			return;
		}
		if (__atomic_exchange_n(&serving, 1, __ATOMIC_SEQ_CST))
			return;
		threads_run_aside(stack + STACK, serve, NULL);
		__atomic_store_n(&serving, 0, __ATOMIC_SEQ_CST);
	}
}

static void asked(bool timer, int value)
{
	if (timer && value != VALUE_AGAIN && value != VALUE_TICK)
		return;
	__atomic_fetch_or(&notes, timer && value == VALUE_TICK ? ASK_TICK : ASK_CONNECTION, __ATOMIC_SEQ_CST);
	attend();
}

/* ---- start, end, fork, exec ---- */

static bool ready(void)
{
	if (stack)
		return true;
	stack = os_map(STACK);
	if (!stack)
		return false;
	os_guard(stack, OS_PAGE);
	roots_exclude((uintptr_t)stack, (uintptr_t)stack + STACK);
	owner = os_pid();
	heap_hooks.asked = asked;
	return threads_hear();
}

static void make_timers(void)
{
	if (!os_timer_make(threads_signal(), VALUE_AGAIN, &timer_again))
		timer_again = -1;
	if (interval && !os_timer_make(threads_signal(), VALUE_TICK, &timer_tick))
		timer_tick = -1;
	if (timer_tick >= 0)
		os_timer_set(timer_tick, interval * 1000 * MS, interval * 1000 * MS);
}

void control_start(char **env)
{
	if (!options.listen || options.mode == MODE_OFF || os_secure())
		return;
	const char *wrong = folder_choose(env, folder);
	if (wrong) {
		say("listen=1: the folder %s %s: nobody can ask this program: remove it, or set TMPDIR", folder, wrong);
		return;
	}
	serving = 1; /* who is quick rings before the socket is complete */
	bool open = ready();
	if (open) {
		make_timers();
		open = open_socket();
	}
	listens = open;
	__atomic_store_n(&serving, 0, __ATOMIC_SEQ_CST);
	if (open)
		again_in(MS);
	else
		say("listen=1: no socket can be made in %s: nobody can ask this program: it needs /proc, room in that folder, a descriptor and a queue for signals",
		    folder);
}

void control_interval(unsigned seconds)
{
	if (!seconds || options.mode == MODE_OFF || !ready())
		return;
	interval = seconds;
	if (timer_again >= 0)
		os_timer_drop(timer_again);
	make_timers();
	if (look_every)
		again_in(look_every);
}

/* Whoever serves has ten seconds: it may be at a large report. */
static void wait_for_server(void)
{
	for (int i = 0; i < 5000 && __atomic_load_n(&serving, __ATOMIC_SEQ_CST); i++)
		os_sleep_ns(2 * MS);
}

static void quiet(void)
{
	int fd = load_relaxed(&control_descriptor);
	if (is_ours(fd))
		os_local_ring(fd, 0, 0);
	if (timer_again >= 0)
		os_timer_set(timer_again, 0, 0);
	if (timer_tick >= 0)
		os_timer_set(timer_tick, 0, 0);
	threads_settle();
}

void control_pause(void)
{
	if (LIKELY(!heap_hooks.asked) || ended || os_pid() != owner)
		return;
	if (__atomic_fetch_add(&paused, 1, __ATOMIC_SEQ_CST) == 0)
		quiet();
}

/* Listens, or will when the timer comes: a process that has just begun or goes on after all. */
static void begin_anew(uint64_t after_ns)
{
	ended = false;
	timer_again = timer_tick = -1;
	make_timers();
	look_every = 0;
	if (listens)
		again_in(after_ns);
}

void control_resume(void)
{
	if (LIKELY(!heap_hooks.asked) || os_pid() != owner)
		return;
	if (ended) {
		begin_anew(MS);
		return;
	}
	if (__atomic_fetch_sub(&paused, 1, __ATOMIC_SEQ_CST) != 1)
		return;
	int fd = load_relaxed(&control_descriptor);
	if (is_ours(fd))
		ring(fd);
	if (timer_tick >= 0)
		os_timer_set(timer_tick, interval * 1000 * MS, interval * 1000 * MS);
	again_in(MS); /* who connected meanwhile rang nothing */
}

void control_end(void)
{
	if (LIKELY(!heap_hooks.asked) || ended || os_pid() != owner)
		return;
	ended = true;
	quiet();
	wait_for_server();
	close_socket();
	if (name[0])
		folder_unbind(folder, name);
	name[0] = 0;
	if (timer_again >= 0)
		os_timer_drop(timer_again);
	if (timer_tick >= 0)
		os_timer_drop(timer_tick);
	timer_again = timer_tick = -1;
	threads_settle();
}

void control_forked(void)
{
	if (!heap_hooks.asked || os_is_confined()) /* behind a filter: the socket is closed, and no call of ours is allowed */
		return;
	close_socket(); /* the parent's; its name stays */
	name[0] = 0;
	owner = os_pid();
	notes = serving = paused = tries = 0;
	begin_anew(200 * MS);
}

/* ---- what the program does to descriptors ---- */

void control_make_way(int fd)
{
	if (!control_owns(fd))
		return;
	for (int i = 0; __atomic_exchange_n(&serving, 1, __ATOMIC_SEQ_CST) && i < 500; i++)
		os_sleep_ns(2 * MS);
	int copy = os_duplicate_high(fd);
	store_release(&control_descriptor, copy >= 0 ? copy : -1);
	os_close(fd);
	__atomic_store_n(&serving, 0, __ATOMIC_SEQ_CST);
	again_in(MS);
}

void control_check(void)
{
	if (heap_hooks.asked && listens && !ended && !is_ours(load_relaxed(&control_descriptor)) && os_pid() == owner)
		again_in(MS);
}
