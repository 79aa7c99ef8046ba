/*
 * Calls that give the kernel a value to be handed back with a signal: timers, queued signals, message notification, and glibc's
 * asynchronous input and output. What the kernel holds is told to src/roots, whose kernel.c says when it ends.
 *
 * Where glibc holds the value itself, in memory of its own that is a root (SIGEV_THREAD of timers: a list of timers; requests of
 * aio_*), nothing is done. mq_notify with SIGEV_THREAD is not such a case: value and attributes travel through the kernel as a
 * message to glibc's helper thread. The attributes are a copy that glibc makes by malloc during the call, and whose
 * address is seen nowhere but there: it is the block that stood first on this thread's list.
 *
 * A handler may run at any instruction, call any of these, and leave by longjmp. So the call and what is told of it are one piece, with
 * signals blocked, where the call only asks the kernel for something; where it may deliver a signal or start threads, the word is held by
 * hand for its time: should it be left, the word stays held, which keeps a block too many.
 *
 * errno stays as the real call left it. A child of vfork shares our memory and not the kernel's tables: it tells nothing.
 */
#include "heap/heap.h"
#include "preload/eintr.h"
#include "preload/shim.h"
#include "os/os.h"
#include "roots/roots.h"

#include <mqueue.h>
#include <string.h>

static struct kernel_row row_of(enum kernel_kind kind, uint64_t key, const struct sigevent *event)
{
	struct kernel_row row = { .key = key, .kind = (uint8_t)kind, .words = { (uintptr_t)event->sigev_value.sival_ptr } };
	if (event->sigev_notify == SIGEV_SIGNAL || event->sigev_notify == SIGEV_THREAD_ID)
		row.signal = (uint8_t)event->sigev_signo;
	row.thread = event->sigev_notify == SIGEV_THREAD_ID;
	return row;
}

/* An event that can't be read is left to libc, which faults, and to the kernel, which refuses; with signals as they are. */
static bool readable(const struct sigevent *event) { return !event || flight_readable(event, sizeof *event); }

static int hold(uintptr_t word) { return roots_ours(word) && identity_own() ? roots_hold(word) : -1; }

/* -- timers -- */

int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	struct roots_guard guard;
	timer_t made;
	const struct real *functions = real();
	if (!readable(event))
		return functions->timer_create(clock, event, timer);
	roots_guard_enter(&guard);
	int r = functions->timer_create(clock, event, &made);
	if (r == 0 && event && event->sigev_notify != SIGEV_THREAD && identity_own())
		KEEPING_ERRNO(tell_timer_created((uintptr_t)made, event));
	roots_guard_leave(&guard);
	if (r == 0)
		*timer = made; /* a fault here is libc's, and its signal must find its handler */
	return r;
}

int timer_delete(timer_t timer)
{
	struct roots_guard guard;
	struct kernel_row row;
	const struct real *functions = real();
	roots_guard_enter(&guard);
	bool held = tell_timer_deletes((uintptr_t)timer, &row);
	int r = functions->timer_delete(timer);
	if (held)
		KEEPING_ERRNO(tell_timer_deleted(&row, r == 0));
	roots_guard_leave(&guard);
	return r;
}

void tell_timer_created(uint64_t id, const struct sigevent *event)
{
	struct kernel_row row, old;
	roots_kernel_take(KERNEL_TIMER, id, &old); /* deleted unseen, by a raw system call */
	row = row_of(KERNEL_TIMER, id, event);
	roots_kernel_add(&row);
}

bool tell_timer_deletes(uint64_t id, struct kernel_row *row) { return identity_own() && roots_kernel_take(KERNEL_TIMER, id, row); }

void tell_timer_deleted(const struct kernel_row *row, bool done) { (done ? roots_kernel_ended : roots_kernel_add)(row); }

/* -- queued signals -- */

/* All that the kernel passes on stands from si_pid on. */
void tell_signal_begins(struct signal_words *w, uintptr_t info)
{
	const int saved = errno;
	if (!info || os_read_self(w->words, info + offsetof(siginfo_t, si_pid), sizeof w->words) != (long)sizeof w->words)
		memset(w->words, 0, sizeof w->words);
	for (unsigned i = 0; i < NELEM(w->words); i++)
		w->held[i] = hold(w->words[i]);
	errno = saved;
}

void tell_signal_sent(const struct signal_words *w, bool done, int target, bool thread, int number)
{
	if (done && identity_own())
		KEEPING_ERRNO(roots_signal_sent(target, thread, number, w->words));
}

void tell_signal_ends(const struct signal_words *w)
{
	for (unsigned i = 0; i < NELEM(w->held); i++)
		KEEPING_ERRNO(roots_drop(w->held[i]));
}

static void sent(int result, pid_t target, bool thread, int number, union sigval value, int held)
{
	if (result == 0)
		roots_signal_sent(target, thread, number, (uintptr_t[3]){ (uintptr_t)value.sival_ptr });
	roots_drop(held);
}

int sigqueue(pid_t pid, int number, const union sigval value)
{
	const int held = hold((uintptr_t)value.sival_ptr);
	int r = real()->sigqueue(pid, number, value);
	if (held >= 0)
		KEEPING_ERRNO(sent(r, pid, false, number, value, held));
	return r;
}

int pthread_sigqueue(pthread_t thread, int number, const union sigval value)
{
	const int held = hold((uintptr_t)value.sival_ptr);
	int r = real()->pthread_sigqueue(thread, number, value);
	if (held >= 0)
		KEEPING_ERRNO(sent(r, 0, true, number, value, held));
	return r;
}

/* The process may be ours or another one: kept for both. */
int pidfd_send_signal(int process, int number, siginfo_t *info, unsigned flags)
{
	struct signal_words words;
	tell_signal_begins(&words, (uintptr_t)info);
	int r = real()->pidfd_send_signal(process, number, info, flags);
	tell_signal_sent(&words, r == 0, 0, true, number);
	tell_signal_sent(&words, r == 0, -1, true, number);
	tell_signal_ends(&words);
	return r;
}

/* -- message queues -- */

static void notify_made(int queue, const struct sigevent *event, const void *attributes)
{
	struct kernel_row row = row_of(KERNEL_NOTIFY, (uint32_t)queue, event);
	row.words[1] = (uintptr_t)attributes;
	roots_kernel_add(&row);
}

int mq_notify(mqd_t queue, const struct sigevent *event)
{
	struct roots_guard guard;
	struct kernel_row old;
	const void *copy = NULL;
	const struct real *functions = real();
	if (!readable(event))
		return functions->mq_notify(queue, event);
	roots_guard_enter(&guard);
	if (event && event->sigev_notify == SIGEV_THREAD && event->sigev_notify_attributes)
		copy = heap_next(sizeof(pthread_attr_t));
	bool held = identity_own() && roots_kernel_take(KERNEL_NOTIFY, (uint32_t)queue, &old);
	int r = functions->mq_notify(queue, event);
	if (held) /* it was removed, or it fired before: its value may be queued */
		KEEPING_ERRNO((r == 0 ? roots_kernel_ended : roots_kernel_add)(&old));
	if (r == 0 && event && identity_own())
		KEEPING_ERRNO(notify_made(queue, event, copy));
	roots_guard_leave(&guard);
	return r;
}

int mq_close(mqd_t queue)
{
	struct roots_guard guard;
	struct kernel_row old;
	const struct real *functions = real();
	roots_guard_enter(&guard);
	bool held = identity_own() && roots_kernel_take(KERNEL_NOTIFY, (uint32_t)queue, &old);
	int r = functions->mq_close(queue);
	if (held)
		KEEPING_ERRNO((r == 0 ? roots_kernel_ended : roots_kernel_add)(&old));
	roots_guard_leave(&guard);
	return r;
}

/* -- glibc's asynchronous input and output. Its requests are roots until they are done; then the value of a signal is queued -- */

static void aio_submitted(const struct aiocb *block, const struct sigevent *event)
{
	if (!event || event->sigev_notify != SIGEV_SIGNAL || !identity_own())
		return;
	struct kernel_row row = row_of(KERNEL_AIO, (uintptr_t)block, event);
	row.words[1] = (uintptr_t)block;
	roots_kernel_add(&row);
}

static int aio_told(int r, const struct aiocb *block, const struct sigevent *event)
{
	if (r == 0)
		KEEPING_ERRNO(aio_submitted(block, event));
	return r;
}

/* The event is copied first: a block that is done may be gone when the call returns. */
static struct sigevent event_of(const struct aiocb *block)
{
	const struct sigevent none = { .sigev_notify = SIGEV_NONE };
	return flight_readable(block, sizeof *block) ? block->aio_sigevent : none;
}

#define AIO(call, block) __extension__({ \
	struct sigevent event_ = event_of(block); \
	const int held_ = event_.sigev_notify == SIGEV_SIGNAL ? hold((uintptr_t)event_.sigev_value.sival_ptr) : -1; \
	int result_ = aio_told(call, block, &event_); \
	KEEPING_ERRNO(roots_drop(held_)); \
	result_; \
})

int aio_read(struct aiocb *block) { return AIO(real()->aio_read(block), block); }
int aio_write(struct aiocb *block) { return AIO(real()->aio_write(block), block); }
int aio_fsync(int operation, struct aiocb *block) { return AIO(real()->aio_fsync(operation, block), block); }

int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *event)
{
	for (int i = 0; i < n; i++) /* before: those whose submission fails end at the next stop */
		if (list[i] && list[i]->aio_lio_opcode != LIO_NOP) {
			aio_submitted(list[i], &list[i]->aio_sigevent);
			if (mode == LIO_NOWAIT)
				aio_submitted(list[i], event);
		}
	return real()->lio_listio(mode, list, n, event);
}

/* One layout where off_t has 64 bits. */
int aio_read64(struct aiocb64 *block) { return aio_read((struct aiocb *)block); }
int aio_write64(struct aiocb64 *block) { return aio_write((struct aiocb *)block); }
int aio_fsync64(int operation, struct aiocb64 *block) { return aio_fsync(operation, (struct aiocb *)block); }
int lio_listio64(int mode, struct aiocb64 *const list[], int n, struct sigevent *event)
{
	return lio_listio(mode, (struct aiocb *const *)list, n, event);
}
