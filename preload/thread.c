/*
 * pthread_create: what a thread's birth hides from the collector, and the bounds of its stack; clone; pthread_setcanceltype.
 *
 *     creator:  block = { start, argument }, held as a root       pthread_create(born, block)
 *     born:     block is copied and freed, hold dropped, bounds told, then start(argument)
 *
 * Between the two, the argument may be held by nobody but the new thread's control block, which lies in its stack mapping and may be
 * no root (roots=segments; a stack given by the program). So the block is held by name.
 *
 * The bounds are those that glibc tells of the running thread. They allow the collector to leave out what lies below the stack
 * pointer. A thread without them (thrd_create, clone) is scanned whole.
 *
 * The trampoline is transparent: the result is that of start; pthread_exit, cancellation and exceptions unwind through it or
 * never see it (compiled with -fexceptions; the last call is a jump in release builds). Attributes are not touched.
 */
#include "heap/heap.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include "os/os.h"
#include "preload/altstacks.h"
#include "preload/real.h"
#include "preload/taken.h"
#include "roots/roots.h"
#include "threads/threads.h"
#include <errno.h>
#include <sched.h>
#include <stdarg.h>

int __clone(int (*fn)(void *), void *stack, int flags, void *argument, ...) __THROW;

struct birth {
	void *(*start)(void *);
	void *argument;
	int hold;
};

static void tell_stack(void)
{
	pthread_attr_t attr;
	void *low;
	size_t size;
	int saved = errno;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		if (pthread_attr_getstack(&attr, &low, &size) == 0 && size)
			threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
		pthread_attr_destroy(&attr);
	}
	errno = saved;
}

static void *born(void *p)
{
	struct birth b = *(struct birth *)p;
	roots_drop(b.hold); /* the copy above is on this thread's stack */
	heap_free(p);
	if (!os_is_confined()) /* glibc asks for the CPUs on the way */
		tell_stack();
	return b.start(b.argument);
}

/* A stack of the program's own: TLS will lie at its top. */
static void look_at_stack(const pthread_attr_t *attr)
{
	void *low;
	size_t size;
	if (attr && pthread_attr_getstack(attr, &low, &size) == 0 && low && size)
		altstack_keyed((uintptr_t)low, (uintptr_t)low + size, false);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument)
{
	int saved = errno;
	struct birth *b = heap_malloc(sizeof *b);
	if (!b)
		return EAGAIN; /* as for want of a stack */
	if (UNLIKELY(load_relaxed(&taken_keys)))
		look_at_stack(attr);
	b->start = start;
	b->argument = argument;
	b->hold = roots_hold((uintptr_t)b);
	int hold = b->hold, r = real()->pthread_create(thread, attr, born, b);
	if (r != 0) {
		roots_drop(hold);
		heap_free(b);
	}
	if (UNLIKELY(heap_hooks.asked != NULL) && !os_is_confined())
		threads_hear();
	errno = saved;
	return r;
}

/* A process in our memory is told to the threads room, for no stop reaches it. */
int clone(int (*fn)(void *), void *stack, int flags, void *argument, ...)
{
	va_list list;
	va_start(list, argument);
	pid_t *parent_tid = va_arg(list, pid_t *);
	void *tls = va_arg(list, void *);
	pid_t *child_tid = va_arg(list, pid_t *);
	va_end(list);
	if (LIKELY((flags & (CLONE_VM | CLONE_THREAD)) != CLONE_VM) || os_is_confined())
		return real()->clone(fn, stack, flags, argument, parent_tid, tls, child_tid);
	threads_sharer_enter();
	int pid = real()->clone(fn, stack, flags, argument, parent_tid, tls, child_tid), saved = errno;
	threads_sharer_leave(flags & CLONE_VFORK ? 0 : pid);
	errno = saved;
	return pid;
}
int __clone(int (*fn)(void *), void *stack, int flags, void *argument, ...) __attribute__((alias("clone")));

/* Told before it becomes so, and until it is no more: slow paths of the heap make it deferred for their time (heap/self.c). */
int pthread_setcanceltype(int type, int *old)
{
	if (type == PTHREAD_CANCEL_ASYNCHRONOUS) {
		heap_hooks.cancel_type = real()->pthread_setcanceltype;
		self.cancelled_any_time = 1;
	}
	int r = real()->pthread_setcanceltype(type, old);
	if (r == 0 && type == PTHREAD_CANCEL_DEFERRED)
		self.cancelled_any_time = 0;
	return r;
}
