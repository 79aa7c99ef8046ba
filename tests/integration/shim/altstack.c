/* Small alternate stacks: errors and answers are the kernel's, handlers work, stops on them hurt nobody, overflow is caught. */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#ifndef SS_AUTODISARM /* in linux/signal.h only, which does not go with signal.h */
#define SS_AUTODISARM (1u << 31)
#endif

static char small[8192] __attribute__((aligned(16)));
static volatile int ran, flags_inside, inside_errno;
static void *volatile sp_inside;

static void slow(int s)
{
	stack_t now, other = { .ss_sp = small, .ss_size = sizeof small };
	sigaltstack(NULL, &now);
	flags_inside = now.ss_flags;
	sp_inside = now.ss_sp;
	inside_errno = sigaltstack(&other, NULL) == -1 ? errno : 0;
	double end = now_ms() + 30; /* many stops on this stack */
	while (now_ms() < end)
		;
	ran++;
}

static sigjmp_buf back;
static void overflowed(int s) { siglongjmp(back, 1); }
static volatile int depth;
__attribute__((noinline)) static int sink(int n)
{
	volatile char page[4000];
	page[0] = (char)n;
	depth = n;
	return sink(n + 1) + page[0];
}

static void *in_thread(void *bytes)
{
	stack_t ss = { .ss_sp = malloc((size_t)bytes), .ss_size = (size_t)bytes }, old;
	sigset_t set;
	int r = sigaltstack(&ss, &old);
	if (r || old.ss_flags != SS_DISABLE)
		return (void *)1;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	if (sigaltstack(NULL, &old) || old.ss_sp != ss.ss_sp || old.ss_size != ss.ss_size)
		return (void *)2;
	ss.ss_flags = SS_DISABLE;
	if ((long)bytes & 1024 && sigaltstack(&ss, NULL))
		return (void *)3;
	return NULL;
}

int main(void)
{
	struct sigaction a = { .sa_handler = slow, .sa_flags = SA_ONSTACK };
	stack_t ss = { .ss_sp = small, .ss_size = 2047 }, old;
	sigaction(SIGUSR1, &a, NULL);
	CHECK("below the minimum", sigaltstack(&ss, NULL) == -1 && errno == ENOMEM);
	ss.ss_flags = 12345;
	ss.ss_size = sizeof small;
	CHECK("bad flags", sigaltstack(&ss, NULL) == -1 && errno == EINVAL);
	ss.ss_flags = 0;
	CHECK("disabled at first", sigaltstack(&ss, &old) == 0 && old.ss_flags == SS_DISABLE);
	CHECK("query", sigaltstack(NULL, &old) == 0 && old.ss_sp == small && old.ss_size == sizeof small && old.ss_flags == 0);
	raise(SIGUSR1);
	CHECK("on it", ran == 1 && flags_inside == SS_ONSTACK && sp_inside == small && inside_errno == EPERM);
	ss.ss_flags = (int)SS_AUTODISARM;
	CHECK("autodisarm", sigaltstack(&ss, &old) == 0 && old.ss_sp == small);
	raise(SIGUSR1);
	CHECK("autodisarm inside", ran == 2 && flags_inside == SS_DISABLE && inside_errno == 0);
	ss.ss_flags = SS_DISABLE;
	CHECK("disable", sigaltstack(&ss, &old) == 0 && sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
	ss.ss_flags = 0;
	ss.ss_size = 4096; /* takes one frame and a small handler, but not a second frame */
	sigaltstack(&ss, NULL);
	memset(small + 4096, 0x5a, 4096);
	struct sigaction o = { .sa_handler = overflowed, .sa_flags = SA_ONSTACK };
	sigaction(SIGSEGV, &o, NULL);
	struct rlimit lim = { 1 << 20, 1 << 20 };
	setrlimit(RLIMIT_STACK, &lim);
	int caught = 0;
	for (int i = 0; i < 5; i++) {
		if (!sigsetjmp(back, 1))
			sink(0);
		else
			caught++;
	}
	CHECK("stack overflow is handled", caught == 5 && depth > 100);
	int bad = 0;
	for (int round = 0; round < 10; round++) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, in_thread, (void *)(long)(8192 + i * 1024));
		for (int i = 0; i < 4; i++) {
			void *r;
			pthread_join(t[i], &r);
			bad += r != NULL;
		}
	}
	CHECK("threads", bad == 0);
	DONE();
}
