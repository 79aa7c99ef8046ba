/*
 * Calls that cgc interposes, each with arguments that are in order and end at once: for bad_pointers.c, which spoils them one by one, and
 * for handlers.c, which makes one in a handler on top of another.
 *
 *     calls_prepare()   makes the descriptors and objects; the same numbers in each process that comes from one that made none
 *     calls_each(fn)    gives each call to fn; those that this libc lacks are left out
 *     call_make(call)   makes it
 *
 * An argument says what it is: a number, an object (with its size), or a size. All are of a machine word, so one type of function serves
 * them all. By name a call is the one that the program would get; by number it goes through syscall().
 */
#ifndef CGC_TEST_CALLS_H
#define CGC_TEST_CALLS_H

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <ucontext.h>

#include "kit.h"

enum call_traits {
	CALL_SAFE = 1,     /* a handler may call it, and leave it by longjmp: nothing but a system call */
	CALL_ADDRESS = 2,  /* the result is an address */
	CALL_WIDE = 4,     /* the result is a word, not an int */
	CALL_ERRNO = 8,    /* errno tells why, where the result is -1 */
	CALL_SLEEPS = 16,  /* other arguments in good order would make it wait for long */
	CALL_NUMBER = 32,  /* by number */
};
enum { CALL_ARGUMENTS = 7 };
struct call_argument {
	long value;
	size_t size;                          /* of an object; 0: none */
	enum { ARGUMENT_NUMBER, ARGUMENT_OBJECT, ARGUMENT_SIZE } kind;
};
struct call {
	const char *name;
	long (*function)(long, ...);
	unsigned traits;
	struct call_argument a[CALL_ARGUMENTS];
};
typedef long call_function(long, long, long, long, long, long, long);

/* What the calls are made on. */
static struct {
	int pipe[2], full[2], pair[2], listener, epoll, events, file, set, pidfd;
	int messages, semaphores; /* System V */
	aio_context_t ring;
	timer_t timer;
	int raw_timer;
	bool with_ring;
} calls;

/* ---- objects: static, and never changed by who spoils them, but for what the calls themselves write ---- */

static char spare_stack[1 << 16];
static char text8[8] = "a word.", in_text[64], path[16] = "/nonexistent/x", program_name[8] = "cgc-no-", option_text[16];
static char *arguments[2] = { program_name, NULL }, *environment[1] = { NULL };
static struct iovec vectors[2] = { { text8, 8 }, { text8, 4 } }, in_vectors[2] = { { in_text, 8 }, { in_text + 8, 8 } };
static struct msghdr message = { .msg_iov = vectors, .msg_iovlen = 2 }, in_message = { .msg_iov = in_vectors, .msg_iovlen = 2 };
static struct mmsghdr messages[1] = { { .msg_hdr = { .msg_iov = vectors, .msg_iovlen = 2 } } };
static struct mmsghdr in_messages[1] = { { .msg_hdr = { .msg_iov = in_vectors, .msg_iovlen = 2 } } };
static struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/nonexistent/socket" }, from_address;
static socklen_t from_size = sizeof from_address;
static struct timespec no_time = { 0, 0 }, instant = { 0, 1000 }, rest, past = { 1, 0 };
static struct timeval no_timeval = { 0, 0 }, receive_time = { 1, 0 };
static struct pollfd polled[1];
static fd_set read_set;
static struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 }, got_events[2];
static sigset_t one_signal, no_signals, old_signals;
static siginfo_t waited_info, queued_info;
static sem_t semaphore, taken_semaphore;
static struct sembuf operation = { 0, 1, IPC_NOWAIT };
static struct { long type; char text[8]; } sysv_message = { 1, "message" };
static struct sigaction action = { .sa_handler = SIG_IGN }, old_action;
static stack_t old_stack, new_stack = { .ss_sp = spare_stack, .ss_size = sizeof spare_stack };
static struct sigevent no_event = { .sigev_notify = SIGEV_NONE };
static timer_t made_timer;
static int made_raw_timer, number_out, waiting_bytes;
static struct aiocb block, *blocks[1] = { &block }, asked = { .aio_fildes = -1, .aio_lio_opcode = LIO_NOP };
static struct aiocb *asked_list[1] = { &asked };
static struct gaicb look_up, *look_ups[1] = { &look_up };
static struct io_event io_events[1];
static struct iocb request, *requests[1] = { &request };
static pthread_t made_thread;
static struct { const sigset_t *set; size_t size; } masked = { &no_signals, 8 };
static struct { unsigned short code_count; void *code; } no_filter = { 1, NULL };

static void *page; /* its own: two pages */

#define must(what) do { if (!(what)) kit_fail("calls: %s: %s", #what, strerror(errno)); } while (0)

static inline void calls_prepare(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(sa_family_t);
	must(pipe2(calls.pipe, O_NONBLOCK) == 0 && pipe2(calls.full, O_NONBLOCK) == 0 && write(calls.full[1], in_text, 48) == 48);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, calls.pair) == 0);
	for (int i = 0; i < 2; i++)
		must(send(calls.pair[i], in_text, 48, 0) == 48);
	must((calls.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
	must(bind(calls.listener, (struct sockaddr *)&name, size) == 0 && listen(calls.listener, 4) == 0); /* the kernel names it */
	size = sizeof name;
	must(getsockname(calls.listener, (struct sockaddr *)&name, &size) == 0);
	for (int i = 0; i < 3; i++)
		must(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, size) == 0);
	must((calls.events = eventfd(1, EFD_NONBLOCK)) >= 0 && (calls.epoll = epoll_create1(0)) >= 0);
	must((calls.set = epoll_create1(0)) >= 0 && epoll_ctl(calls.set, EPOLL_CTL_ADD, calls.full[0], &event) == 0);
	must((calls.file = memfd_create("calls", 0)) >= 0 && ftruncate(calls.file, 8192) == 0);
	calls.pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	must((page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
	sigaddset(&one_signal, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &one_signal, NULL) == 0);
	must(sem_init(&semaphore, 0, 1000) == 0 && sem_init(&taken_semaphore, 0, 0) == 0);
	must(timer_create(CLOCK_MONOTONIC, &no_event, &calls.timer) == 0);
	must(syscall(SYS_timer_create, CLOCK_MONOTONIC, &no_event, &calls.raw_timer) == 0);
	if (!calls.with_ring || syscall(SYS_io_setup, 4, &calls.ring) != 0)
		calls.ring = 0;
	polled[0] = (struct pollfd){ calls.full[0], POLLIN, 0 };
	FD_SET(calls.full[0], &read_set);
	queued_info = (siginfo_t){ .si_signo = SIGURG, .si_code = SI_QUEUE };
	queued_info.si_pid = getpid();
	request = (struct iocb){ .aio_fildes = (uint32_t)calls.file, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)in_text, .aio_nbytes = 8 };
	block = (struct aiocb){ .aio_fildes = calls.file, .aio_buf = in_text, .aio_nbytes = 8, .aio_sigevent.sigev_notify = SIGEV_NONE };
}

/* System V objects outlive processes: one of each, made by whoever starts the others, and removed by it. */
static inline void calls_prepare_shared(void)
{
	calls.messages = msgget(IPC_PRIVATE, 0600);
	calls.semaphores = semget(IPC_PRIVATE, 1, 0600);
}
static inline void calls_remove_shared(void)
{
	msgctl(calls.messages, IPC_RMID, NULL);
	semctl(calls.semaphores, 0, IPC_RMID);
}

static inline long call_make(const struct call *c)
{
	const struct call_argument *a = c->a;
	return ((call_function *)(void *)c->function)(a[0].value, a[1].value, a[2].value, a[3].value, a[4].value, a[5].value, a[6].value);
}

/* Not of ours: libc's own, wherever it is. */
static inline bool calls_has(const char *name)
{
	static void *libc, *libaio;
	if (!libc) {
		libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
		libaio = dlopen("libaio.so.1", RTLD_LAZY | RTLD_GLOBAL);
	}
	return !libc || dlsym(libc, name) || (libaio && dlsym(libaio, name));
}

static void call_at(void (*fn)(struct call *), struct call c, long number)
{
	if (c.traits & CALL_NUMBER) { /* the first argument of syscall() */
		memmove(&c.a[1], &c.a[0], (CALL_ARGUMENTS - 1) * sizeof c.a[0]);
		c.a[0] = (struct call_argument){ number, 0, ARGUMENT_NUMBER };
		*(void **)&c.function = dlsym(RTLD_DEFAULT, "syscall");
	} else if (calls_has(c.name))
		*(void **)&c.function = dlsym(RTLD_DEFAULT, c.name);
	if (c.function)
		fn(&c);
}

#define I(value) { (long)(value), 0, ARGUMENT_NUMBER }
#define P(object) { (long)(uintptr_t)&(object), sizeof(object), ARGUMENT_OBJECT }
#define N(value) { (long)(value), 0, ARGUMENT_SIZE }
#define E CALL_ERRNO
#define S (CALL_SAFE | CALL_ERRNO)
#define W CALL_WIDE
#define Z CALL_SLEEPS
#define ROW(name, traits, ...) call_at(fn, (struct call){ name, NULL, traits, { __VA_ARGS__ } }, 0);
#define RAW_AS(name, traits, ...) call_at(fn, (struct call){ #name, NULL, S | CALL_NUMBER | (traits), { __VA_ARGS__ } }, name);
#define RAW(name, ...) call_at(fn, (struct call){ #name, NULL, S | W | CALL_NUMBER, { __VA_ARGS__ } }, name);

static inline void calls_each_wait(void (*fn)(struct call *))
{
	ROW("nanosleep", S | Z, P(instant), P(rest)) ROW("__nanosleep", S | Z, P(instant), P(rest))
	ROW("clock_nanosleep", CALL_SAFE | Z, I(CLOCK_MONOTONIC), I(0), P(instant), P(rest)) ROW("thrd_sleep", Z, P(instant), P(rest))
	ROW("usleep", S, I(1)) ROW("sleep", 0, I(0))
	ROW("poll", S, P(polled), N(1), I(0)) ROW("__poll", S, P(polled), N(1), I(0)) ROW("__poll_chk", S, P(polled), N(1), I(0), I(8))
	ROW("ppoll", S, P(polled), N(1), P(no_time), P(no_signals)) ROW("__ppoll_chk", S, P(polled), N(1), P(no_time), P(no_signals), I(8))
	ROW("select", S, I(calls.full[0] + 1), P(read_set), I(0), I(0), P(no_timeval))
	ROW("__select", S, I(calls.full[0] + 1), P(read_set), I(0), I(0), P(no_timeval))
	ROW("pselect", S, I(calls.full[0] + 1), P(read_set), I(0), I(0), P(no_time), P(no_signals))
	ROW("epoll_wait", S, I(calls.set), P(got_events), I(2), I(0))
	ROW("epoll_pwait", S, I(calls.set), P(got_events), I(2), I(0), P(no_signals))
	ROW("epoll_pwait2", S, I(calls.set), P(got_events), I(2), P(no_time), P(no_signals))
	ROW("sem_timedwait", E | Z, P(taken_semaphore), P(past)) ROW("sem_clockwait", E | Z, P(taken_semaphore), I(CLOCK_MONOTONIC), P(past))
	ROW("sigwaitinfo", E | Z, P(one_signal), P(waited_info)) ROW("sigwait", Z, P(one_signal), P(number_out))
	ROW("sigtimedwait", S, P(one_signal), P(waited_info), P(no_time))
	ROW("semop", S | Z, I(calls.semaphores), P(operation), N(1)) ROW("semtimedop", S, I(calls.semaphores), P(operation), N(1), P(no_time))
	ROW("msgsnd", S, I(calls.messages), P(sysv_message), N(8), I(IPC_NOWAIT))
	ROW("msgrcv", S | W, I(calls.messages), P(sysv_message), N(8), I(0), I(IPC_NOWAIT))
	ROW("aio_suspend", E, P(blocks), I(1), P(no_time)) ROW("aio_suspend64", E, P(blocks), I(1), P(no_time))
	ROW("gai_suspend", 0, P(look_ups), I(1), P(no_time)) ROW("tcdrain", S, I(calls.file))
}

static inline void calls_each_transfer(void (*fn)(struct call *))
{
	ROW("setsockopt", S, I(calls.pair[0]), I(SOL_SOCKET), I(SO_RCVTIMEO), P(receive_time), N(sizeof receive_time))
	ROW("read", S | W, I(calls.full[0]), P(in_text), N(8)) ROW("__read", S | W, I(calls.full[0]), P(in_text), N(8))
	ROW("__read_chk", S | W, I(calls.full[0]), P(in_text), N(8), I(64)) ROW("readv", S | W, I(calls.full[0]), P(in_vectors), N(2))
	ROW("recv", S | W, I(calls.pair[0]), P(in_text), N(8), I(0)) ROW("__recv_chk", S | W, I(calls.pair[0]), P(in_text), N(8), I(64), I(0))
	ROW("recvfrom", S | W, I(calls.pair[0]), P(in_text), N(8), I(0), P(from_address), P(from_size))
	ROW("__recvfrom_chk", S | W, I(calls.pair[0]), P(in_text), N(8), I(64), I(0), P(from_address))
	ROW("recvmsg", S | W, I(calls.pair[0]), P(in_message), I(0)) ROW("recvmmsg", S, I(calls.pair[0]), P(in_messages), N(1), I(0), P(no_time))
	ROW("accept", S, I(calls.listener), P(from_address), P(from_size)) ROW("accept4", S, I(calls.listener), P(from_address), P(from_size), I(0))
	ROW("connect", S, I(calls.pair[0]), P(address), N(sizeof address)) ROW("__connect", S, I(calls.pair[0]), P(address), N(sizeof address))
	ROW("write", S | W, I(calls.pipe[1]), P(text8), N(8)) ROW("__write", S | W, I(calls.pipe[1]), P(text8), N(8))
	ROW("writev", S | W, I(calls.pipe[1]), P(vectors), N(2)) ROW("send", S | W, I(calls.pair[1]), P(text8), N(8), I(0))
	ROW("__send", S | W, I(calls.pair[1]), P(text8), N(8), I(0)) ROW("sendto", S | W, I(calls.pair[1]), P(text8), N(8), I(0), I(0), I(0))
	ROW("sendmsg", S | W, I(calls.pair[1]), P(message), I(0)) ROW("sendmmsg", S, I(calls.pair[1]), P(messages), N(1), I(0))
	ROW("mq_send", S, I(-1), P(text8), N(8), I(0)) ROW("mq_timedsend", S, I(-1), P(text8), N(8), I(0), P(no_time))
	ROW("mq_receive", S | W, I(-1), P(in_text), N(8), P(number_out)) ROW("mq_timedreceive", S | W, I(-1), P(in_text), N(8), P(number_out), P(no_time))
	ROW("vmsplice", S | W, I(calls.pipe[1]), P(vectors), N(2), I(0)) ROW("tee", S | W, I(calls.full[0]), I(calls.pipe[1]), N(8), I(SPLICE_F_NONBLOCK))
	ROW("eventfd_write", S, I(calls.events), I(1)) ROW("pwritev2", S | W, I(calls.pipe[1]), P(vectors), N(2), I(-1), I(0))
	ROW("pwritev64v2", S | W, I(calls.pipe[1]), P(vectors), N(2), I(-1), I(0)) ROW("ioctl", S, I(calls.full[0]), I(FIONREAD), P(waiting_bytes))
}

static inline void calls_each_memory(void (*fn)(struct call *))
{
	struct call_argument where = { (long)(uintptr_t)page, 0, ARGUMENT_SIZE };
	ROW("munmap", S, where, I(0)) ROW("mprotect", S, where, I(4096), I(PROT_READ | PROT_WRITE))
	ROW("pkey_mprotect", S, where, I(4096), I(PROT_READ | PROT_WRITE), I(-1)) ROW("mremap", S | CALL_ADDRESS, where, I(8192), I(8192), I(0))
	ROW("brk", S, I(0)) ROW("sbrk", S | CALL_ADDRESS, I(0)) ROW("shmat", S | CALL_ADDRESS, I(-1), where, I(0)) ROW("shmdt", S, where) ROW("mmap", S | CALL_ADDRESS, I(0), N(8192), I(PROT_NONE), I(MAP_PRIVATE | MAP_ANONYMOUS), I(-1), I(0))
	ROW("mmap64", S | CALL_ADDRESS, where, I(4096), I(PROT_READ | PROT_WRITE), I(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), I(-1), I(0))
	ROW("madvise", S, where, I(4096), I(MADV_NORMAL)) ROW("ftruncate", S, I(calls.file), I(8192)) ROW("ftruncate64", S, I(calls.file), I(8192))
	ROW("truncate", S, P(path), I(8192)) ROW("truncate64", S, P(path), I(8192))
}

static inline void calls_each_process(void (*fn)(struct call *))
{
	ROW("sigaltstack", S, I(0), P(old_stack)) ROW("sigaltstack", S, P(new_stack), P(old_stack)) ROW("sigprocmask", E, I(SIG_BLOCK), P(one_signal), P(old_signals))
	ROW("pthread_sigmask", 0, I(SIG_BLOCK), P(one_signal), P(old_signals)) ROW("sigaction", S, I(SIGURG), P(action), P(old_action))
	ROW("__sigaction", S, I(SIGURG), P(action), P(old_action)) ROW("signal", S | CALL_ADDRESS, I(SIGURG), I(SIG_IGN))
	ROW("signalfd", S, I(-1), P(one_signal), I(0)) ROW("dlopen", CALL_ADDRESS, P(path), I(RTLD_LAZY)) ROW("dlclose", 0, P(option_text))
	ROW("dlsym", CALL_ADDRESS, I(RTLD_DEFAULT), P(path)) ROW("dlvsym", CALL_ADDRESS, I(RTLD_DEFAULT), P(path), P(text8))
	ROW("execve", S, P(path), P(arguments), P(environment)) ROW("execv", S, P(path), P(arguments))
	ROW("execvp", E, P(program_name), P(arguments)) ROW("execvpe", E, P(program_name), P(arguments), P(environment))
	ROW("execl", S, P(path), P(text8), I(0)) ROW("execlp", E, P(program_name), P(text8), I(0)) ROW("execle", S, P(path), P(text8), I(0), P(environment))
	ROW("fexecve", S, I(calls.pipe[0]), P(arguments), P(environment))
	ROW("execveat", S, I(AT_FDCWD), P(path), P(arguments), P(environment), I(0))
	ROW("prctl", S, I(PR_GET_NAME), P(in_text)) ROW("close", S, I(-1)) ROW("__close", S, I(-1)) ROW("close_range", S, I(900), I(901), I(0))
	ROW("closefrom", CALL_SAFE, I(900)) ROW("dup2", S, I(calls.file), I(calls.file)) ROW("__dup2", S, I(calls.file), I(calls.file))
	ROW("dup3", S, I(calls.file), I(700), I(0)) ROW("clone", E, I(0), P(option_text), I(0), I(0))
	ROW("pthread_setcanceltype", 0, I(PTHREAD_CANCEL_DEFERRED), P(number_out))
	ROW("epoll_ctl", S, I(calls.epoll), I(EPOLL_CTL_ADD), I(calls.events), P(event))
	ROW("timer_create", E, I(CLOCK_MONOTONIC), P(no_event), P(made_timer)) ROW("timer_delete", E, I(calls.timer))
	ROW("sigqueue", S, I(getpid()), I(SIGURG), P(text8)) ROW("pthread_sigqueue", 0, I(pthread_self()), I(SIGURG), P(text8))
	ROW("pidfd_send_signal", S, I(calls.pidfd), I(SIGURG), P(queued_info), I(0)) ROW("mq_notify", E, I(-1), P(no_event)) ROW("mq_close", S, I(-1))
	ROW("pthread_create", 0, P(made_thread), I(0), I(pause), I(0))
}

static inline void calls_each_aio(void (*fn)(struct call *))
{
	ROW("aio_read", E, P(asked)) ROW("aio_read64", E, P(asked)) ROW("aio_write", E, P(asked)) ROW("aio_write64", E, P(asked))
	ROW("aio_fsync", E, I(-1), P(asked)) ROW("aio_fsync64", E, I(-1), P(asked))
	ROW("lio_listio", E, I(LIO_WAIT), P(asked_list), I(1), P(no_event)) ROW("lio_listio64", E, I(LIO_WAIT), P(asked_list), I(1), P(no_event))
	ROW("io_submit", 0, I(calls.ring), N(1), P(requests)) ROW("io_getevents", 0, I(calls.ring), I(0), N(1), P(io_events), P(no_time))
	ROW("io_pgetevents", 0, I(calls.ring), I(0), N(1), P(io_events), P(no_time), P(no_signals)) ROW("io_cancel", 0, I(calls.ring), P(request), P(io_events))
	RAW(SYS_io_submit, I(calls.ring), N(1), P(requests)) RAW(SYS_io_getevents, I(calls.ring), I(0), N(1), P(io_events), P(no_time))
	RAW(SYS_io_cancel, I(calls.ring), P(request), P(io_events)) RAW(SYS_io_destroy, I(0))
}

static inline void calls_each_number(void (*fn)(struct call *))
{
	struct call_argument where = { (long)(uintptr_t)page, 0, ARGUMENT_SIZE };
	RAW(SYS_futex, P(number_out), I(0), I(1), P(no_time)) RAW_AS(SYS_nanosleep, Z, P(instant), P(rest))
	RAW_AS(SYS_clock_nanosleep, Z, I(CLOCK_MONOTONIC), I(0), P(instant), P(rest))
#ifdef SYS_poll
	RAW(SYS_poll, P(polled), N(1), I(0)) RAW(SYS_epoll_wait, I(calls.set), P(got_events), I(2), I(0))
	RAW(SYS_select, I(calls.full[0] + 1), P(read_set), I(0), I(0), P(no_timeval))
#endif
	RAW(SYS_ppoll, P(polled), N(1), P(no_time), P(no_signals), I(8)) RAW(SYS_epoll_pwait, I(calls.set), P(got_events), I(2), I(0), P(no_signals), I(8))
	RAW(SYS_pselect6, I(calls.full[0] + 1), P(read_set), I(0), I(0), P(no_time), P(masked))
#ifdef SYS_epoll_pwait2
	RAW(SYS_epoll_pwait2, I(calls.set), P(got_events), I(2), P(no_time), P(no_signals), I(8))
#endif
	RAW(SYS_rt_sigtimedwait, P(one_signal), P(waited_info), P(no_time), I(8)) RAW(SYS_semtimedop, I(calls.semaphores), P(operation), N(1), P(no_time))
	RAW(SYS_msgsnd, I(calls.messages), P(sysv_message), N(8), I(IPC_NOWAIT)) RAW(SYS_msgrcv, I(calls.messages), P(sysv_message), N(8), I(0), I(IPC_NOWAIT))
	RAW(SYS_write, I(calls.pipe[1]), P(text8), N(8)) RAW(SYS_sendto, I(calls.pair[1]), P(text8), N(8), I(0), I(0), I(0))
	RAW(SYS_mq_timedsend, I(-1), P(text8), N(8), I(0), P(no_time)) RAW(SYS_writev, I(calls.pipe[1]), P(vectors), N(2))
	RAW(SYS_pwritev2, I(calls.pipe[1]), P(vectors), N(2), I(-1), I(-1), I(0)) RAW(SYS_vmsplice, I(calls.pipe[1]), P(vectors), N(2), I(0))
	RAW(SYS_sendmsg, I(calls.pair[1]), P(message), I(0)) RAW(SYS_sendmmsg, I(calls.pair[1]), P(messages), N(1), I(0))
	RAW(SYS_read, I(calls.full[0]), P(in_text), N(8)) RAW(SYS_ioctl, I(calls.full[0]), I(FIONREAD), P(waiting_bytes))
	RAW(SYS_timer_create, I(CLOCK_MONOTONIC), P(no_event), P(made_raw_timer)) RAW(SYS_timer_delete, I(-1))
	RAW(SYS_rt_sigqueueinfo, I(getpid()), I(SIGURG), P(queued_info))
	RAW(SYS_rt_tgsigqueueinfo, I(getpid()), I(syscall(SYS_gettid)), I(SIGURG), P(queued_info))
	RAW(SYS_pidfd_send_signal, I(calls.pidfd), I(SIGURG), P(queued_info), I(0)) RAW(SYS_epoll_ctl, I(calls.epoll), I(EPOLL_CTL_ADD), I(calls.events), P(event))
	RAW(SYS_munmap, where, I(0)) RAW(SYS_mprotect, where, I(4096), I(PROT_READ | PROT_WRITE)) RAW_AS(SYS_mremap, CALL_ADDRESS, where, I(8192), I(8192), I(0))
	RAW(SYS_madvise, where, I(4096), I(MADV_NORMAL)) RAW(SYS_shmdt, where) RAW(SYS_ftruncate, I(calls.file), I(8192)) RAW(SYS_truncate, P(path), I(8192))
	RAW_AS(SYS_mmap, CALL_ADDRESS, where, I(4096), I(PROT_READ), I(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), I(-1), I(0))
	RAW(SYS_seccomp, I(1), I(~0), P(no_filter)) RAW(SYS_prctl, I(PR_GET_NAME), P(in_text)) RAW(SYS_close, I(-1)) RAW(SYS_dup3, I(-1), I(700), I(0))
	RAW(SYS_io_uring_setup, I(0), P(in_text)) RAW(SYS_io_uring_enter, I(-1), N(1), I(0), I(0), P(no_signals))
	RAW(SYS_clone3, P(option_text), I(8)) RAW(SYS_process_vm_writev, I(getpid()), P(vectors), N(2), P(in_vectors), N(2), I(0))
	RAW(SYS_sigaltstack, P(new_stack), P(old_stack)) RAW(SYS_rt_sigsuspend, P(no_signals), I(7)) RAW(SYS_execve, P(path), P(arguments), P(environment))
}

static inline void calls_each(void (*fn)(struct call *))
{
	calls_each_wait(fn);
	calls_each_transfer(fn);
	calls_each_memory(fn);
	calls_each_process(fn);
	calls_each_aio(fn);
	calls_each_number(fn);
}
#undef I
#undef P
#undef N
#undef E
#undef S
#undef W
#undef Z
#undef ROW
#undef RAW
#undef RAW_AS

#endif
