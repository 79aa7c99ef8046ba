/* The only pointer is the data word of a registration that no function of libc's made: by an instruction of the program's own (as
 * Rust's rustix, Zig and Go enter the kernel), by a request of io_uring, and as the value of a timer made so. Only the kernel's own
 * lists tell of them. */
#include "zoo.h"
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

static long enter(long n, long a, long b, long c, long d, long e)
{
#if defined __x86_64__
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
#else
	exit(ZOO_NO_PLACE);
#endif
}

static int set, event;

static void *ready(void)
{
	struct epoll_event e;
	if (epoll_wait(set, &e, 1, 1000) != 1)
		exit(2);
	return e.data.ptr;
}

static void fresh_set(void)
{
	set = epoll_create1(EPOLL_CLOEXEC);
	event = eventfd(1, EFD_CLOEXEC);
	if (set < 0 || event < 0)
		exit(2);
}

static __attribute__((noinline)) void by_instruction(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = zoo_block() };
	fresh_set();
	if (enter(SYS_epoll_ctl, set, EPOLL_CTL_ADD, event, (long)&e, 0))
		exit(2);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
}

/* false: this system has no ring, or not this request. */
static __attribute__((noinline)) bool by_ring(void)
{
	struct io_uring_params p = { .flags = 0 };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = zoo_block() };
	int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (ring < 0)
		return false;
	fresh_set();
	size_t size = p.sq_off.array + 4 * sizeof(uint32_t), done = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	char *at = mmap(NULL, size > done ? size : done, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, 4 * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (at == MAP_FAILED || entry == MAP_FAILED)
		exit(2);
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_EPOLL_CTL, .fd = set, .off = (uint64_t)event, .len = EPOLL_CTL_ADD,
		                            .addr = (uintptr_t)&e };
	*(uint32_t *)(at + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(at + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	bool done_well = syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1 &&
	                 ((struct io_uring_cqe *)(at + p.cq_off.cqes))->res == 0;
	__atomic_store_n((uint32_t *)(at + p.cq_off.head), 1, __ATOMIC_RELEASE);
	memset(entry, 0, sizeof *entry);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
	return done_well;
}

static int timer;

/* false: the kernel does not list timers. */
static __attribute__((noinline)) bool by_timer(void)
{
	if (access("/proc/self/timers", R_OK))
		return false;
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	e.sigev_value.sival_ptr = zoo_block();
	if (enter(SYS_timer_create, CLOCK_MONOTONIC, (long)&e, (long)&timer, 0, 0))
		exit(2);
	memset(&e, 0, sizeof e);
	__asm__ volatile("" : : "r"(&e) : "memory");
	return true;
}

static void *rung(void)
{
	struct itimerspec soon = { .it_value = { 0, 1000 } };
	siginfo_t info;
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	if (enter(SYS_timer_settime, timer, 0, (long)&soon, 0, 0) || sigwaitinfo(&signals, &info) != SIGRTMIN)
		exit(2);
	return info.si_value.sival_ptr;
}

int main(void)
{
	zoo_needs_collector();
	by_instruction();
	zoo_collect(ZOO_SIZE);
	int bad = zoo_verdict(ready());
	if (by_ring()) {
		zoo_collect(ZOO_SIZE);
		bad |= zoo_verdict(ready());
	}
	if (by_timer()) {
		zoo_collect(ZOO_SIZE);
		bad |= zoo_verdict(rung());
	}
	return bad;
}
