/*
 * Faults in many ways, for explain.sh: what the program sees of its own SIGSEGV and SIGBUS must be the same with and without
 * explain=1. Pointers to lost blocks are hidden by complement.
 *
 *   faulty CASE     prints what it sees; the status says how it ended
 *   faulty of CASE  runs `faulty CASE` and prints how it ended: exit status, or signal and whether a core was made
 */
#include "kit.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UNMAPPED 0x7000dead0000ul

static uintptr_t hidden;
static sigjmp_buf back;
static volatile int caught;
static char *alt;

static __attribute__((noinline)) void plant(void)
{
	void *p = malloc(56);
	hidden = ~(uintptr_t)p;
	for (int i = 0; i < 200; i++)
		*(volatile uintptr_t *)malloc(56) = 0;
}

static __attribute__((noinline)) void fault_with(uintptr_t word)
{
	__asm__ volatile("mov (%0), %%rax" : : "r"((uintptr_t)24), "D"(word) : "rax", "memory");
}

/* Through the word that stands at the address. */
static __attribute__((noinline)) void fault_behind(uintptr_t word)
{
	__asm__ volatile("mov (%%rdi), %%rax\n\tmov 24(%%rax), %%rax" : : "D"(word) : "rax", "memory");
}

static void lose(int cycles)
{
	plant();
	for (int i = 0; i < cycles; i++) {
		char dead[20000];
		memset(dead, 0, sizeof dead);
		__asm__ volatile("" : : "r"(dead) : "memory");
		kit_collect(1);
	}
}

static void show(int number, siginfo_t *info, void *context)
{
	char here, line[200];
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	struct sigaction now;
	sigaction(number, NULL, &now);
	ucontext_t *uc = context;
	int n = snprintf(line, sizeof line, "signal %d code %d at page + %lu, alternate stack %d, blocked %d %d, reset %d, rdi at fault %s\n", number,
	                 info->si_code, info->si_code > 0 ? (unsigned long)info->si_addr % 4096 : 0, &here >= alt && &here < alt + 65536,
	                 sigismember(&mask, number), sigismember(&mask, SIGUSR1), now.sa_handler == SIG_DFL,
	                 uc->uc_mcontext.gregs[REG_RDI] == 77 ? "kept" : "lost");
	if (write(1, line, (size_t)n) < 0)
		_exit(4);
	caught++;
	siglongjmp(back, 1);
}

static void install(int number, int flags)
{
	struct sigaction act = { .sa_sigaction = show, .sa_flags = SA_SIGINFO | flags }, old, now;
	sigaddset(&act.sa_mask, SIGUSR1);
	stack_t s = { .ss_sp = alt = malloc(65536), .ss_size = 65536 };
	sigaltstack(&s, NULL);
	sigaction(number, &act, &old);
	sigaction(number, NULL, &now);
	printf("before %d, now mine %d flags %x mask %d\n", old.sa_handler == SIG_DFL, now.sa_sigaction == show,
	       (unsigned)now.sa_flags & 0xfbffffffu, sigismember(&now.sa_mask, SIGUSR1));
	fflush(stdout);
}

static int raw_handler(int number)
{
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } act = { 0, 0, 0, 0 };
	syscall(SYS_rt_sigaction, number, NULL, &act, 8);
	return act.handler != NULL;
}

static void *in_thread(void *arg)
{
	fault_with(77);
	return NULL;
}

static char *truncated(void)
{
	char name[] = "/tmp/faulty.XXXXXX";
	int fd = mkstemp(name);
	unlink(name);
	return ftruncate(fd, 4096) ? NULL : mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0) + 4096;
}

static int handled(int number, int flags)
{
	install(number, flags);
	char *volatile page = number == SIGBUS ? truncated() : NULL;
	for (volatile int i = 0; i < 3; i++)
		if (!sigsetjmp(back, 1)) {
			if (page)
				caught += *(volatile char *)page;
			fault_with(77);
		} else if (i == 1) {
			kit_collect(1);
		}
	return caught == 3 ? 0 : 5;
}

static int run(const char *what)
{
	if (!strcmp(what, "wild"))
		fault_with(1);
	if (!strcmp(what, "recycled") || !strcmp(what, "condemned")) {
		lose(*what == 'r' ? 4 : 1);
		fault_with(~hidden);
	}
	if (!strcmp(what, "again")) {
		lose(4);
		for (int i = 0; i < 1000; i++)
			*(volatile uintptr_t *)malloc(56) = UNMAPPED;
		fault_behind(~hidden);
	}
	if (!strcmp(what, "free") || !strcmp(what, "null")) {
		uintptr_t *volatile p = malloc(500), *volatile next = malloc(500);
		uintptr_t word = (uintptr_t)p;
		p[4] = UNMAPPED;
		free(p);
		if (*what == 'f')
			fault_behind(word + 32);
		fault_with(word);
		free(next);
	}
	if (!strcmp(what, "sent"))
		kill(getpid(), SIGSEGV);
	if (!strcmp(what, "thread")) {
		pthread_t t;
		pthread_create(&t, NULL, in_thread, NULL);
		pthread_join(t, NULL);
	}
	if (!strcmp(what, "bus"))
		return *(volatile char *)truncated();
	if (!strcmp(what, "general")) /* no address: si_code SI_KERNEL */
		return *(volatile char *)0x5a5a5a5a5a5a5a5aul;
	if (!strcmp(what, "handled"))
		return handled(SIGSEGV, 0);
	if (!strcmp(what, "handled-alt"))
		return handled(SIGSEGV, SA_ONSTACK | SA_NODEFER);
	if (!strcmp(what, "handled-bus"))
		return handled(SIGBUS, SA_ONSTACK);
	if (!strcmp(what, "once"))
		return handled(SIGSEGV, SA_RESETHAND);
	if (!strcmp(what, "sent-handled")) {
		install(SIGSEGV, 0);
		if (!sigsetjmp(back, 1))
			kill(getpid(), SIGSEGV);
		return caught != 1;
	}
	if (!strcmp(what, "ignored")) {
		if (signal(SIGSEGV, SIG_IGN) != SIG_DFL)
			return 6;
		kill(getpid(), SIGSEGV);
		kit_collect(1);
		kill(getpid(), SIGSEGV);
		if (signal(SIGSEGV, SIG_DFL) != SIG_IGN)
			return 7;
		puts("ignored");
		return 0;
	}
	if (!strcmp(what, "forked")) {
		int status;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0)
			fault_with(77);
		waitpid(pid, &status, 0);
		printf("child: signal %d\n", WTERMSIG(status));
		return 0;
	}
	if (!strcmp(what, "quiet"))
		return raw_handler(SIGSEGV) || raw_handler(SIGBUS);
	return 9;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return run(argv[1]);
	if (argc != 3)
		return 9;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "faulty", argv[2], (char *)NULL);
		_exit(8);
	}
	waitpid(pid, &status, 0);
	printf(WIFEXITED(status) ? "exit %d\n" : "signal %d core %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
	       WCOREDUMP(status) != 0);
	return 0;
}
