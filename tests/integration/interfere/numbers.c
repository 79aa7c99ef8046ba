/* Libraries that define calls of libc by their numbers, as tcmalloc defines mmap: what the program calls by name comes to syscall() from there.
 * Built twice: with -DLIBRARY it is the one that defines, without it the program, which makes each call and prints what came of it. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>

#define EACH(X) \
	X(long, read, (int d, void *p, size_t n), (d, p, n)) \
	X(long, write, (int d, const void *p, size_t n), (d, p, n)) \
	X(long, readv, (int d, const void *v, int n), (d, v, n)) \
	X(long, writev, (int d, const void *v, int n), (d, v, n)) \
	X(long, sendto, (int d, const void *p, size_t n, int f, const void *to, unsigned size), (d, p, n, f, to, size)) \
	X(long, recvfrom, (int d, void *p, size_t n, int f, void *from, void *size), (d, p, n, f, from, size)) \
	X(long, sendmsg, (int d, const void *m, int f), (d, m, f)) \
	X(long, recvmsg, (int d, void *m, int f), (d, m, f)) \
	X(long, tee, (int from, int to, size_t n, unsigned f), (from, to, n, f)) \
	X(int, ioctl, (int d, unsigned long request, void *p), (d, request, p)) \
	X(int, epoll_ctl, (int d, int op, int of, void *event), (d, op, of, event)) \
	X(int, msgsnd, (int q, const void *m, size_t n, int f), (q, m, n, f)) \
	X(long, msgrcv, (int q, void *m, size_t n, long type, int f), (q, m, n, type, f)) \
	X(int, semop, (int s, void *ops, size_t n), (s, ops, n)) \
	X(int, prctl, (int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d), (what, a, b, c, d)) \
	X(int, sigaltstack, (const void *stack, void *old), (stack, old)) \
	X(void *, mmap, (void *at, size_t n, int p, int f, int d, long offset), (at, n, p, f, d, offset)) \
	X(int, mprotect, (void *at, size_t n, int p), (at, n, p)) \
	X(int, pkey_mprotect, (void *at, size_t n, int p, int key), (at, n, p, key)) \
	X(void *, mremap, (void *at, size_t n, size_t size, int f, void *to), (at, n, size, f, to)) \
	X(int, madvise, (void *at, size_t n, int advice), (at, n, advice)) \
	X(int, munmap, (void *at, size_t n), (at, n)) \
	X(int, shmdt, (const void *at), (at)) \
	X(int, ftruncate, (int d, long n), (d, n)) \
	X(int, truncate, (const char *path, long n), (path, n)) \
	X(int, dup3, (int from, int to, int f), (from, to, f)) \
	X(int, close_range, (unsigned first, unsigned last, int f), (first, last, f)) \
	X(int, close, (int d), (d))

#ifdef LIBRARY
long syscall(long number, ...);
#define ARGUMENTS(...) __VA_ARGS__
#define X(type, name, parameters, arguments) \
	__attribute__((visibility("default"))) type name parameters { return (type)syscall(SYS_##name, ARGUMENTS arguments); }
EACH(X)
#else
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <fcntl.h>

enum { PAGE = 4096, SIZE = 65536 };

/* Of a pointer only whether there is one: what it is differs from run to run. */
#define SHOW(...) show(#__VA_ARGS__, (errno = 0, (long)(__VA_ARGS__)))
#define THERE(...) show(#__VA_ARGS__, (errno = 0, (__VA_ARGS__) == MAP_FAILED ? -1 : 0))

static void show(const char *what, long r) { printf("%s: %ld, %d\n", what, r, errno); }

static void carried(void)
{
	char in[64];
	int p[2], other[2], s[2];
	void *words[4] = { malloc(48), malloc(20000), NULL, NULL };
	struct iovec out = { words, sizeof words }, into = { in, sizeof in };
	struct msghdr sent = { .msg_iov = &out, .msg_iovlen = 1 }, got = { .msg_iov = &into, .msg_iovlen = 1 };
	if (pipe(p) || pipe(other) || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		exit(2);
	SHOW(write(p[1], words, sizeof words));
	SHOW(tee(p[0], other[1], 16, 0));
	SHOW(read(p[0], in, sizeof in));
	SHOW(writev(p[1], &out, 1));
	int waiting = 0;
	SHOW(ioctl(p[0], FIONREAD, &waiting));
	SHOW(readv(p[0], &into, 1));
	SHOW(sendto(s[0], words, sizeof words, 0, NULL, 0));
	SHOW(recvfrom(s[1], in, sizeof in, 0, NULL, NULL));
	SHOW(sendmsg(s[0], &sent, 0));
	SHOW(recvmsg(s[1], &got, 0));
	int e = epoll_create1(0);
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &(struct epoll_event){ EPOLLIN, { words[0] } }));
	SHOW(dup3(p[0], 90, 0) - 90);
	SHOW(close(90));
	SHOW(close(90));
	SHOW(close_range(80, 99, 0));
	free(words[0]);
	free(words[1]);
}

static void queued(void)
{
	struct { long type; void *word; } m = { 1, malloc(64) }, got = { 0, NULL };
	int q = msgget(IPC_PRIVATE, 0600), s = semget(IPC_PRIVATE, 1, 0600), shared = shmget(IPC_PRIVATE, SIZE, 0600);
	SHOW(msgsnd(q, &m, sizeof m.word, 0));
	SHOW(msgrcv(q, &got, sizeof got.word, 0, 0));
	printf("%s\n", got.word == m.word ? "the same" : "another");
	SHOW(semop(s, &(struct sembuf){ 0, 1, 0 }, 1));
	void *at = shmat(shared, NULL, 0);
	SHOW(shmdt(at));
	SHOW(shmdt(at));
	msgctl(q, IPC_RMID, NULL);
	semctl(s, 0, IPC_RMID);
	shmctl(shared, IPC_RMID, NULL);
	free(m.word);
}

static void mapped(void)
{
	stack_t none = { .ss_flags = SS_DISABLE }, now = { 0 };
	char *p = mmap(NULL, 3 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *block = malloc(SIZE);
	THERE(p);
	for (int i = 0; i < 2; i++) { /* the stack lies in what is taken away: a mapping, a block */
		stack_t stack = { .ss_sp = i ? block : p, .ss_size = SIZE };
		SHOW(sigaltstack(&stack, NULL));
		SHOW(sigaltstack(NULL, &now));
		printf("%s, %zu\n", now.ss_sp == stack.ss_sp ? "the same" : "another", now.ss_size);
		if (i)
			free(block);
	}
	SHOW(sigaltstack(&none, &now));
	SHOW(sigaltstack(&(stack_t){ .ss_sp = p, .ss_size = SIZE }, NULL));
	SHOW(mprotect(p, PAGE, PROT_READ));
	SHOW(pkey_mprotect(p, PAGE, PROT_READ | PROT_WRITE, -1));
	SHOW(madvise(p, SIZE, MADV_DONTNEED));
	THERE(mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	THERE(mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, p + SIZE));
	SHOW(munmap(p + SIZE, SIZE));
	SHOW(munmap(p + 1, SIZE));
	SHOW(sigaltstack(&(stack_t){ .ss_sp = p, .ss_size = 16 }, NULL));
}

int main(void)
{
	char path[] = "/tmp/numbers-XXXXXX";
	int file = mkstemp(path);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	SHOW(ftruncate(file, PAGE));
	SHOW(truncate(path, SIZE));
	unlink(path);
	SHOW(prctl(PR_SET_NAME, (unsigned long)"numbers", 0, 0, 0));
	for (int i = 0; i < 20; i++) {
		carried();
		queued();
		mapped();
		free(malloc(200000));
	}
	return 0;
}
#endif
