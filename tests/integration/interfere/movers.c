/*
 * Handlers of the program move the only pointer to a block from place to place (globals, a heap block, another thread's stack), while
 * that thread allocates, waits in pause and poll and is thrown out of them by siglongjmp.
 */
#include "kit.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

enum { ROUNDS = 400 };
static struct node *volatile places[3], **volatile on_heap, *volatile *volatile on_stack;
static volatile int at, moves, wrong;
static sigjmp_buf out;
static volatile int jump;

static struct node *volatile *place(int i) { return i < 3 ? &places[i] : i == 3 ? (struct node *volatile *)on_heap : on_stack; }

static void move(int s)
{
	struct node *volatile *from = place(at);
	struct node *only = *from;
	*from = NULL;
	at = (at + 1) % 5;
	*place(at) = only;
	moves++;
	if (only->value != 4711)
		wrong++;
	if (jump) {
		jump = 0;
		siglongjmp(out, 1);
	}
}

static void *holder(void *p)
{
	struct node *volatile slot = NULL;
	on_stack = &slot;
	while (!churn_ends)
		work(50);
	return p;
}

int main(void)
{
	pthread_t t;
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction a = { .sa_handler = move };
	int thrown = 0, ended = 0;
	sigset_t alarm_only;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_only, NULL);
	on_heap = calloc(1, sizeof *on_heap);
	places[0] = malloc(sizeof(struct node));
	places[0]->value = 4711;
	pthread_create(&t, NULL, holder, NULL);
	churn_start();
	while (!on_stack)
		usleep(1000);
	sigaction(SIGALRM, &a, NULL);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		if (sigsetjmp(out, 1)) {
			thrown++;
			continue;
		}
		wrong += work(20);
		jump = i & 1;
		int r = i & 2 ? pause() : poll(NULL, 0, 5000);
		ended += r == -1 && errno == EINTR;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	churn_ends = 1;
	pthread_join(t, NULL);
	churn_stop();
	int held = 0;
	for (int i = 0; i < 4; i++)
		held += *place(i) != NULL;
	printf("%d rounds, %s, %d wrong\n", thrown + ended, moves >= ROUNDS / 2 && held <= 1 ? "moved" : "did not move", wrong);
	return wrong;
}
