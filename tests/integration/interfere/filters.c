/*
 * Filters of system calls. Each is what a plain program of this kind needs with glibc's malloc, and not a call more:
 *   filters after kill|errno    the program confines itself after some leaking, then works on, makes a thread, ends
 *   filters after number        the same by the number of the call, as libseccomp does it; a filter that kills at mprotect; no thread
 *   filters after strict        SECCOMP_MODE_STRICT: read, write, exit and sigreturn only
 *   filters before kill|errno PROGRAM ARGS...   PROGRAM runs under a filter that forbids sending signals (kill, tgkill, rt_tgsigqueueinfo)
 *   filters before allow PROGRAM ARGS...        the same, but a filter that lets everything pass
 * What it prints and its exit status are the same with and without the library.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int needed[] = { SYS_mprotect, SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_futex, SYS_rt_sigreturn,
	SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq, SYS_rt_sigprocmask, SYS_wait4, SYS_execve, SYS_rt_sigaction, SYS_mremap, SYS_madvise };
static const int signals[] = { SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_tgsigqueueinfo, SYS_rt_sigqueueinfo };

/* Those of the list get `listed`, all others `rest`. */
static int install(const int *list, size_t n, unsigned listed, unsigned rest, int by_number)
{
	struct sock_filter f[64];
	size_t at = 0;
	f[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++) {
		f[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)list[i], 0, 1);
		f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
	}
	f[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rest);
	struct sock_fprog program = { (unsigned short)at, f };
	if (by_number)
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static volatile unsigned long sum;
struct node { struct node *next; char text[100]; };

/* Leaks most, keeps a list that is checked. */
static void work(int rounds)
{
	struct node *kept = NULL;
	for (int i = 0; i < rounds; i++) {
		struct node *n = malloc(sizeof *n);
		memset(n->text, i & 127, sizeof n->text);
		n->next = NULL;
		if (i % 50 == 0) {
			n->next = kept;
			kept = n;
		}
		char *big = realloc(malloc(1000), 5000 + (size_t)i % 7 * 100000);
		big[0] = 1;
		sum += (unsigned char)big[0];
		if (i % 16)
			free(big);
	}
	for (int i = (rounds - 1) / 50 * 50; kept; i -= 50) {
		struct node *n = kept;
		if (n->text[0] != (i & 127) || n->text[99] != (i & 127)) {
			static const char bad[] = "contents changed\n";
			if (write(1, bad, sizeof bad - 1) < 0)
				_exit(98);
			_exit(97);
		}
		kept = n->next;
		free(n);
	}
}

static void *in_thread(void *p)
{
	work(2000);
	return p;
}

static void tell(const char *s)
{
	if (write(1, s, strlen(s)) < 0)
		_exit(98);
}

static void after(const char *how)
{
	pthread_t t;
	work(3000);
	if (!strcmp(how, "strict")) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			_exit(96);
		for (int i = 0; i < 1000; i++) {
			void *volatile p = malloc(40);
			free(p);
		}
		tell("strict done\n");
		syscall(SYS_exit, 0);
	}
	int number = !strcmp(how, "number");
	const int *list = needed + number; /* without mprotect, which stands first */
	if (install(list, (size_t)(needed + sizeof needed / sizeof *needed - list), SECCOMP_RET_ALLOW, !strcmp(how, "errno") ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS, number)) {
		perror("seccomp");
		_exit(96);
	}
	if (number) {
		for (int i = 0; i < 3; i++)
			work(20000);
		tell("confined by number, done\n");
		_exit(0);
	}
	work(3000);
	if (pthread_create(&t, NULL, in_thread, NULL))
		tell("no thread\n");
	else
		pthread_join(t, NULL);
	pid_t p = fork();
	if (p == 0) {
		work(500);
		_exit(3);
	}
	int status = 0;
	wait4(p, &status, 0, NULL);
	if (status != 3 << 8)
		tell("the child failed\n");
	execl("/nonexistent", "x", (char *)NULL);
	tell(errno == ENOENT ? "confined, done\n" : "exec says something else\n");
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "after"))
		after(argv[2]);
	if (argc > 3 && !strcmp(argv[1], "before")) {
		unsigned what = !strcmp(argv[2], "kill") ? SECCOMP_RET_KILL_PROCESS : !strcmp(argv[2], "errno") ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW;
		if (install(signals, sizeof signals / sizeof *signals, what, SECCOMP_RET_ALLOW, 0))
			return 96;
		execv(argv[3], argv + 3);
	}
	return 95;
}
