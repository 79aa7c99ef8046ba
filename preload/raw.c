/*
 * syscall(): calls that programs make by number.
 *
 * Most are none of our business, and some (vfork, clone with a new stack) must not find a frame of ours: the wrapper looks the number
 * up in a table and jumps to the real function, with every register and the stack as they were. The numbers in the table go
 * to raw_call, by a jump too, which sees the arguments where C has them: those that give the kernel a pointer are told to
 * src/roots like their namesakes in kernel.c and epoll.c; those that return EINTR in spite of SA_RESTART are made again (eintr.h).
 *
 * A child of clone or clone3 that shares our memory is told to the threads room, as clone's is (thread.c). Whether it does, and has a
 * stack of its own, is asked before the jump (raw_shares): its stack's top word says where it begins, so it leaves our frame alone.
 * Without one it returns through frames of its parent.
 *
 * syscall() is no cancellation point, so nothing here may call a libc function that is one: again means the same number again. Nor one that
 * another library may stand before, which makes its call by number (tcmalloc's mmap) and would come back here. The
 * kernel updates the time left of select, pselect6 and ppoll in place, and so do we; for the others a copy is shortened.
 */
#include "preload/altstacks.h"
#include "preload/eintr.h"
#include "preload/flight.h"
#include "preload/pages.h"
#include "preload/shim.h"
#include "os/os.h"

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { NUMBERS = 512 };

/* The arguments as the kernel gets them. */
struct call {
	long n, a[6];
};
long raw_call(long n, long a, long b, long c, long d, long e, long f);
bool raw_shares(long n, uintptr_t a, uintptr_t b);

static long make(const struct call *c) { return real_syscall(c->n, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]); }

/* -- again after an EINTR of ours -- */

enum { NO_TIME = -1 };

/* Until when the first attempt, begun at `start`, was to wait. Looked at after it: the kernel has read the time by then, so we can. */
static struct eintr_wait wait_of(const struct call *c, uint64_t start, int timespec, int ms)
{
	struct eintr_wait wait = { .deadline = EINTR_NEVER };
	const struct timespec *t = timespec >= 0 ? (const struct timespec *)c->a[timespec] : NULL;
	if (t)
		wait.deadline = eintr_deadline(start, t->tv_sec, t->tv_nsec);
	else if (ms >= 0 && (int)c->a[ms] >= 0)
		wait.deadline = start + (uint64_t)(int)c->a[ms] * 1000000u;
	return wait;
}

/* timespec: the argument that is a relative time; ms: the one that is a time in milliseconds. A sleep writes what is left only when it
 * ends early, as the program sees it. */
static long again(struct call *c, int timespec, int ms)
{
	struct eintr_scope scope = EINTR_SCOPE;
	struct eintr_wait wait = { .deadline = 0 };
	const int saved = errno;
	const uint64_t start = timespec >= 0 || ms >= 0 ? eintr_now() : 0;
	long r;
	struct timespec rest = { 0, 0 }, *wanted = NULL;
	if (timespec >= 0 && (c->n == SYS_nanosleep || c->n == SYS_clock_nanosleep) && c->a[timespec + 1]) {
		wanted = (struct timespec *)c->a[timespec + 1];
		c->a[timespec + 1] = (long)&rest;
	}
	for (bool first = true;; first = false) {
		eintr_arm(&scope);
		r = make(c);
		if (r != -1 || !eintr_hide(&scope, saved) || !eintr_resume(&scope))
			break;
		if (first)
			wait = wait_of(c, start, timespec, ms);
		const struct timespec *left = eintr_rest(&wait);
		if (left && timespec >= 0)
			c->a[timespec] = (long)left;
		else if (left && ms >= 0)
			c->a[ms] = (long)(left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000);
	}
	if (wanted && r == -1 && errno == EINTR && !eintr_tell(wanted, &rest, sizeof rest))
		errno = EFAULT;
	eintr_leave(&scope);
	return r;
}

/* select, pselect6 and ppoll: the kernel writes what is left into the argument `time`, seconds and a part of which `unit` are one, when it
 * returns. The time of our stop comes on top, so what is left is counted from the start. */
static long again_updated(struct call *c, int time, uint64_t unit)
{
	struct eintr_scope scope = EINTR_SCOPE;
	struct eintr_wait wait = { .deadline = EINTR_NEVER };
	const int saved = errno;
	long given[2], r;
	if (c->a[time] && os_read_self(given, (uintptr_t)c->a[time], sizeof given) == (long)sizeof given)
		wait.deadline = eintr_deadline(eintr_now(), given[0], given[1] * (int64_t)(1000000000u / unit));
	errno = saved;
	for (;;) {
		eintr_arm(&scope);
		r = make(c);
		if (r != -1 || !eintr_hide(&scope, saved) || !eintr_resume(&scope))
			break;
		const struct timespec *left = eintr_rest(&wait);
		if (left)
			eintr_tell((void *)c->a[time], (const long[2]){ left->tv_sec, left->tv_nsec / (long)(1000000000u / unit) }, sizeof given);
	}
	eintr_leave(&scope);
	return r;
}

/* pause and rt_sigsuspend: again with the mask set for the call's own time, so that no signal is missed. */
static long again_suspend(struct call *c)
{
	struct eintr_scope scope = EINTR_SCOPE;
	const int saved = errno;
	uint64_t own;
	long r;
	for (;;) {
		eintr_arm(&scope);
		r = make(c);
		if (r != -1 || !eintr_hide(&scope, saved))
			break;
		if (c->n != SYS_rt_sigsuspend && scope.masked) {
			own = scope.mask;
			*c = (struct call){ SYS_rt_sigsuspend, { (long)&own, sizeof own } };
		}
	}
	eintr_leave(&scope);
	return r;
}

static long futex(struct call *c)
{
	switch (c->a[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return again(c, 3, NO_TIME);
	case FUTEX_WAIT_BITSET: /* their times are absolute */
	case FUTEX_WAIT_REQUEUE_PI:
		return again(c, NO_TIME, NO_TIME);
	default:
		return make(c);
	}
}

/* -- what the kernel holds: the call and what is told of it are one piece, as in kernel.c and epoll.c -- */

static long unbroken(long (*told)(struct call *c), struct call *c)
{
	struct roots_guard guard;
	roots_guard_enter(&guard);
	long r = told(c);
	roots_guard_leave(&guard);
	return r;
}

static long timer_made(struct call *c)
{
	const struct sigevent *event = (const struct sigevent *)c->a[1];
	long r = make(c);
	if (r == 0 && event && identity_own())
		KEEPING_ERRNO(tell_timer_created((uint64_t)*(const int *)c->a[2], event));
	return r;
}

static long timer_gone(struct call *c)
{
	struct kernel_row row;
	bool held = tell_timer_deletes((uint64_t)(int)c->a[0], &row);
	long r = make(c);
	if (held)
		KEEPING_ERRNO(tell_timer_deleted(&row, r == 0));
	return r;
}

/* target: the argument that is a process or thread; NO_TIME: a descriptor of one, which may be us. info follows the number. */
static long signal_sent(struct call *c, int target, bool thread, int number)
{
	struct signal_words words;
	tell_signal_begins(&words, (uintptr_t)c->a[number + 1]);
	long r = make(c);
	tell_signal_sent(&words, r == 0, target < 0 ? 0 : (int)c->a[target], thread, (int)c->a[number]);
	if (target < 0)
		tell_signal_sent(&words, r == 0, -1, thread, (int)c->a[number]);
	tell_signal_ends(&words);
	return r;
}

static long epoll_told(struct call *c)
{
	const struct epoll_event *event = (const struct epoll_event *)c->a[3];
	long r = make(c);
	if (r == 0)
		KEEPING_ERRNO(roots_epoll((int)c->a[0], (int)c->a[1], (int)c->a[2], c->a[1] == EPOLL_CTL_DEL ? 0 : event->data.u64));
	return r;
}

static long iocbs_submitted(struct call *c)
{
	tell_iocbs((uint64_t)c->a[0], c->a[1], (const uintptr_t *)c->a[2]);
	long r = make(c);
	KEEPING_ERRNO(tell_iocbs_refused((uint64_t)c->a[0], r > 0 ? r : 0, c->a[1], (const uintptr_t *)c->a[2]));
	return r;
}

static long events_fetched(struct call *c)
{
	const struct io_event *events = (const struct io_event *)c->a[3];
	long r = again(c, 4, NO_TIME);
	KEEPING_ERRNO(tell_events((uint64_t)c->a[0], r, events));
	return r;
}

static long iocb_cancelled(struct call *c)
{
	struct io_event cancelled = { .obj = (uint64_t)c->a[1] };
	long r = make(c);
	if (r == 0)
		KEEPING_ERRNO(tell_events((uint64_t)c->a[0], 1, &cancelled));
	return r;
}

static long context_gone(struct call *c)
{
	tell_context_ends((uint64_t)c->a[0]);
	long r = make(c);
	KEEPING_ERRNO(tell_context_ended((uint64_t)c->a[0], r == 0));
	return r;
}

static long ring_made(struct call *c)
{
	const struct io_uring_params *p = (const struct io_uring_params *)c->a[1];
	long r = make(c);
	if (r >= 0 && identity_own())
		KEEPING_ERRNO(roots_uring_made(os_inode((int)r), p->flags));
	return r;
}

/* The time of a wait starts anew after an EINTR of ours, unless it is absolute. */
static long ring_entered(struct call *c)
{
	if (c->a[1] > 0)
		KEEPING_ERRNO(roots_uring_submits(os_inode((int)c->a[0])));
	return again(c, NO_TIME, NO_TIME);
}

/* -- words in flight (flight.h) -- */

static long wrote(struct call *c, enum flight_by by, size_t n)
{
	const void *buf = (const void *)c->a[1];
	uint32_t before = flight_before(by, (int)c->a[0], buf, n);
	long r = c->n == SYS_msgsnd ? again(c, NO_TIME, NO_TIME) : make(c);
	flight_after(by, (int)c->a[0], buf, n, r, before);
	return r;
}

static long gathered(struct call *c)
{
	const struct iovec *iov = (const struct iovec *)c->a[1];
	uint32_t before = flight_before_vectors(FLIGHT_FD, (int)c->a[0], iov, (size_t)c->a[2]);
	long r = make(c);
	flight_after_vectors(FLIGHT_FD, (int)c->a[0], iov, (size_t)c->a[2], r, before);
	return r;
}

static long message_sent(struct call *c)
{
	const struct msghdr *m = (const struct msghdr *)c->a[1];
	uint32_t before = flight_before_message((int)c->a[0], m);
	long r = make(c);
	flight_after_message((int)c->a[0], m, r, before);
	return r;
}

static long messages_sent(struct call *c)
{
	const struct mmsghdr *m = (const struct mmsghdr *)c->a[1];
	for (long i = 0; i < c->a[2] && i < UIO_MAXIOV && flight_readable(&m[i], sizeof m[i]); i++)
		flight_before_message((int)c->a[0], &m[i].msg_hdr);
	return make(c);
}

static long was_read(struct call *c)
{
	long r = make(c);
	flight_read(FLIGHT_FD, (int)c->a[0], (const void *)c->a[1], (size_t)c->a[2], r);
	return r;
}

/* -- pages that are gone (taken.c) -- */

static long pages_told(struct call *c)
{
	const unsigned due = pages_leave(c->n, c->a);
	long r = make(c);
	pages_left(c->n, c->a, r, due);
	return r;
}

/* -- what answers otherwise than the kernel: the call itself is one by number here too, as the named wrapper's may lead to a library that comes here -- */

static int make_altstack(const stack_t *stack, stack_t *old) { return (int)real_syscall(SYS_sigaltstack, stack, old); }

static int make_close_range(unsigned first, unsigned last, int flags) { return (int)real_syscall(SYS_close_range, first, last, flags); }

static long closed(struct call *c)
{
	if (!descriptor_hidden((int)c->a[0]))
		return make(c);
	errno = EBADF;
	return -1;
}

static long replaced(struct call *c)
{
	descriptor_makes_way((int)c->a[0], (int)c->a[1]);
	return make(c);
}

static long asked(struct call *c)
{
	flight_ioctl((int)c->a[0], (unsigned long)c->a[1], (const void *)c->a[2]);
	return make(c);
}

/* -- filters of system calls (filter.c) -- */

static long filtered(struct call *c, bool installs)
{
	if (!installs || !identity_own())
		return make(c);
	filter_begin();
	long r = make(c);
	KEEPING_ERRNO(filter_end(r >= 0)); /* a descriptor for a listener, too */
	return r;
}

/* -- a process in our memory -- */

/* Only where a return takes its address from the stack: elsewhere it is in a register, and leads the child into a frame of ours. */
#if defined __x86_64__
#define SHARING(X) X(SYS_clone, shared(c)) X(SYS_clone3, shared(c))

static long shared(struct call *c)
{
	threads_sharer_enter();
	long r = make(c); /* the child does not come back here */
	KEEPING_ERRNO(threads_sharer_leave((int)r));
	return r;
}

__attribute__((visibility("hidden"), used)) bool raw_shares(long n, uintptr_t a, uintptr_t b)
{
	const struct clone_args *args = (const struct clone_args *)a;
	uint64_t flags = a, stack = b;
	if (os_is_confined())
		return false;
	if (n == SYS_clone3) {
		if (b < CLONE_ARGS_SIZE_VER0 || !os_readable(a) || !os_readable(a + CLONE_ARGS_SIZE_VER0 - 1))
			return false;
		flags = args->flags;
		stack = args->stack;
	}
	return (flags & (CLONE_VM | CLONE_THREAD | CLONE_VFORK)) == CLONE_VM && stack;
}
#else
#define SHARING(X)
#endif

/* -- by number -- */

/* Numbers that some machine lacks. */
#ifndef SYS_poll
enum { SYS_poll = -1, SYS_select = -2, SYS_epoll_wait = -3, SYS_pause = -4 };
#endif

#define WATCHED(X) \
	X(SYS_futex, futex(c)) \
	X(SYS_nanosleep, again(c, 0, NO_TIME)) \
	X(SYS_clock_nanosleep, again(c, c->a[1] & TIMER_ABSTIME ? NO_TIME : 2, NO_TIME)) \
	X(SYS_poll, again(c, NO_TIME, 2)) \
	X(SYS_select, again_updated(c, 4, 1000000)) \
	X(SYS_ppoll, again_updated(c, 2, 1000000000)) \
	X(SYS_pselect6, again_updated(c, 4, 1000000000)) \
	X(SYS_epoll_wait, again(c, NO_TIME, 3)) \
	X(SYS_epoll_pwait, again(c, NO_TIME, 3)) \
	X(SYS_epoll_pwait2, again(c, 3, NO_TIME)) \
	X(SYS_rt_sigtimedwait, again(c, 2, NO_TIME)) \
	X(SYS_semop, again(c, NO_TIME, NO_TIME)) \
	X(SYS_semtimedop, again(c, 3, NO_TIME)) \
	X(SYS_msgrcv, again(c, NO_TIME, NO_TIME)) \
	X(SYS_msgsnd, wrote(c, FLIGHT_SYSV, (size_t)c->a[2] <= FLIGHT_OUT ? sizeof(long) + (size_t)c->a[2] : (size_t)c->a[2])) \
	X(SYS_write, wrote(c, FLIGHT_FD, (size_t)c->a[2])) \
	X(SYS_sendto, wrote(c, FLIGHT_SOCKET, (size_t)c->a[2])) \
	X(SYS_mq_timedsend, wrote(c, FLIGHT_MQ, (size_t)c->a[2])) \
	X(SYS_writev, gathered(c)) \
	X(SYS_pwritev2, gathered(c)) \
	X(SYS_vmsplice, gathered(c)) \
	X(SYS_sendmsg, message_sent(c)) \
	X(SYS_sendmmsg, messages_sent(c)) \
	X(SYS_read, was_read(c)) \
	X(SYS_ioctl, asked(c)) \
	X(SYS_pause, again_suspend(c)) \
	X(SYS_rt_sigsuspend, again_suspend(c)) \
	X(SYS_timer_create, unbroken(timer_made, c)) \
	X(SYS_timer_delete, unbroken(timer_gone, c)) \
	X(SYS_rt_sigqueueinfo, signal_sent(c, 0, false, 1)) \
	X(SYS_rt_tgsigqueueinfo, signal_sent(c, 1, true, 2)) \
	X(SYS_pidfd_send_signal, signal_sent(c, NO_TIME, true, 1)) \
	X(SYS_epoll_ctl, unbroken(epoll_told, c)) \
	X(SYS_io_submit, iocbs_submitted(c)) \
	X(SYS_io_getevents, events_fetched(c)) \
	X(SYS_io_pgetevents, events_fetched(c)) \
	X(SYS_io_cancel, iocb_cancelled(c)) \
	X(SYS_io_destroy, context_gone(c)) \
	X(SYS_sigaltstack, altstack_set((const stack_t *)c->a[0], (stack_t *)c->a[1], make_altstack)) \
	X(SYS_munmap, pages_told(c)) \
	X(SYS_mprotect, pages_told(c)) \
	X(SYS_pkey_mprotect, pages_told(c)) \
	X(SYS_mremap, pages_told(c)) \
	X(SYS_mmap, pages_told(c)) \
	X(SYS_madvise, pages_told(c)) \
	X(SYS_shmat, pages_told(c)) \
	X(SYS_shmdt, pages_told(c)) \
	X(SYS_brk, pages_told(c)) \
	X(SYS_ftruncate, pages_told(c)) \
	X(SYS_truncate, pages_told(c)) \
	X(SYS_seccomp, filtered(c, c->a[0] == SECCOMP_SET_MODE_STRICT || c->a[0] == SECCOMP_SET_MODE_FILTER)) \
	X(SYS_prctl, filtered(c, (int)c->a[0] == PR_SET_SECCOMP)) \
	X(SYS_close, closed(c)) \
	X(SYS_close_range, descriptors_close_range((unsigned)c->a[0], (unsigned)c->a[1], (int)c->a[2], make_close_range)) \
	X(SYS_dup3, replaced(c)) \
	X(SYS_io_uring_setup, ring_made(c)) \
	X(SYS_io_uring_enter, ring_entered(c))
enum { JUMP, LOOK, ASK }; /* to the real function; to raw_call; to either, as raw_shares says */

__attribute__((visibility("hidden"), used)) const uint8_t raw_watched[NUMBERS] = {
#define X(number, ...) [(number) > 0 ? (number) : 0] = (number) > 0 ? LOOK : JUMP,
	WATCHED(X)
#undef X
#define X(number, ...) [number] = ASK,
	SHARING(X)
#undef X
};

__attribute__((visibility("hidden"))) long raw_call(long n, long a0, long a1, long a2, long a3, long a4, long a5)
{
	struct call call = { n, { a0, a1, a2, a3, a4, a5 } }, *c = &call;
	if (os_is_confined()) /* no stop cuts a call short any more, and we may make none of our own */
		return make(c);
	/* NOLINTBEGIN(bugprone-branch-clone): a table, row by row */
	switch (n) {
#define X(number, what) case number: return what;
	WATCHED(X)
	SHARING(X)
#undef X
	default:
		return make(c);
	}
	/* NOLINTEND(bugprone-branch-clone) */
}

/* Arguments stay where they are: for raw_call, the seventh is on the stack at the same place as for syscall. Without the real
 * function (before the constructor) it is looked up first. */
#if defined __x86_64__
#define KEEP \
	"pushq %rdi\n	.cfi_adjust_cfa_offset 8\n	pushq %rsi\n	.cfi_adjust_cfa_offset 8\n	pushq %rdx\n	.cfi_adjust_cfa_offset 8\n" \
	"	pushq %rcx\n	.cfi_adjust_cfa_offset 8\n	pushq %r8\n	.cfi_adjust_cfa_offset 8\n	pushq %r9\n	.cfi_adjust_cfa_offset 8\n" \
	"	subq $8, %rsp\n	.cfi_adjust_cfa_offset 8\n"
#define GIVE \
	"	addq $8, %rsp\n	.cfi_adjust_cfa_offset -8\n	popq %r9\n	.cfi_adjust_cfa_offset -8\n	popq %r8\n	.cfi_adjust_cfa_offset -8\n" \
	"	popq %rcx\n	.cfi_adjust_cfa_offset -8\n	popq %rdx\n	.cfi_adjust_cfa_offset -8\n	popq %rsi\n	.cfi_adjust_cfa_offset -8\n" \
	"	popq %rdi\n	.cfi_adjust_cfa_offset -8\n"
__asm__(".text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	".p2align 4\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	cmpq $0, real_syscall(%rip)\n"
	"	je 2f\n"
	"1:	cmpq $512, %rdi\n" /* NUMBERS */
	"	jae 3f\n"
	"	leaq raw_watched(%rip), %rax\n"
	"	cmpb $1, (%rax,%rdi)\n" /* LOOK */
	"	jb 3f\n"
	"	ja 4f\n"
	"	jmp raw_call\n"
	"3:	jmp *real_syscall(%rip)\n"
	"2:	" KEEP "	call real_start@PLT\n" GIVE
	"	jmp 1b\n"
	"4:	" KEEP "	call raw_shares\n" GIVE
	"	testb %al, %al\n"
	"	je 3b\n"
	"	jmp raw_call\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n");
#elif defined __aarch64__
__asm__(".text\n"
	".globl syscall\n"
	".type syscall, %function\n"
	".p2align 4\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"	adrp x16, real_syscall\n"
	"	ldr x16, [x16, #:lo12:real_syscall]\n"
	"	cbz x16, 2f\n"
	"1:	cmp x0, #512\n" /* NUMBERS */
	"	b.hs 3f\n"
	"	adrp x17, raw_watched\n"
	"	add x17, x17, #:lo12:raw_watched\n"
	"	ldrb w17, [x17, x0]\n"
	"	cbz w17, 3f\n"
	"	b raw_call\n"
	"3:	br x16\n"
	"2:	stp x29, x30, [sp, #-80]!\n"
	"	.cfi_adjust_cfa_offset 80\n"
	"	.cfi_rel_offset x30, 8\n"
	"	stp x0, x1, [sp, #16]\n"
	"	stp x2, x3, [sp, #32]\n"
	"	stp x4, x5, [sp, #48]\n"
	"	str x6, [sp, #64]\n"
	"	bl real_start\n"
	"	ldr x6, [sp, #64]\n"
	"	ldp x4, x5, [sp, #48]\n"
	"	ldp x2, x3, [sp, #32]\n"
	"	ldp x0, x1, [sp, #16]\n"
	"	ldp x29, x30, [sp], #80\n"
	"	.cfi_adjust_cfa_offset -80\n"
	"	.cfi_restore x30\n"
	"	adrp x16, real_syscall\n"
	"	ldr x16, [x16, #:lo12:real_syscall]\n"
	"	b 1b\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n");
#else
#error "syscall's jump is to be written for this machine"
#endif
_Static_assert(NUMBERS == 512, "the jumps above compare with this");
