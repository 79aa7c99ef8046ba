/*
 * exec_left: execs that fail and are left by a handler: by longjmp, by pthread_exit, in a child of fork made there. Collecting must go on.
 *
 * A thread calls execve of no file again and again while another sends it a signal, whose handler leaves. Afterwards the thread sleeps, works on, or
 * is gone; then blocks are lost, and one line a way says how many came back after a collection. Exit 1: none.
 */
#include "kit.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

enum { LOST = 2000, SIZE = 224, LEFT = 200 };
enum way { JUMPS_SLEEPS, JUMPS_HERE, EXITS, WAYS };
static const char *const names[] = { "jumps, then sleeps", "jumps, and collects itself", "exits" };

static enum way way;
static sigjmp_buf out;
static volatile sig_atomic_t left, ready;
static volatile bool inside, done;
static int sleeping[2];

static size_t lose_and_collect(void)
{
	static uintptr_t hidden[LOST];
	size_t back = 0;
	for (int i = 0; i < LOST; i++)
		hidden[i] = kit_hide((uintptr_t)malloc(SIZE));
	kit_scrub();
	kit_collect(2);
	for (int i = 0; i < 2 * LOST; i++) {
		uintptr_t p = kit_hide((uintptr_t)malloc(SIZE));
		for (int k = 0; k < LOST; k++)
			if (hidden[k] == p) {
				hidden[k] = 0;
				back++;
				break;
			}
	}
	return back;
}

static void handler(int number)
{
	(void)number;
	if (!inside)
		return;
	inside = false;
	left++;
	if (way == EXITS)
		pthread_exit(NULL);
	siglongjmp(out, 1);
}

static void *exec_again(void *arg)
{
	char *const argv[] = { "none", NULL };
	sigsetjmp(out, 1);
	ready = 1;
	while (left < LEFT) {
		inside = true;
		execv("/nonexistent/none", argv);
		inside = false;
	}
	done = true;
	char c;
	if (way == JUMPS_SLEEPS && read(sleeping[0], &c, 1) < 0)
		return NULL;
	return arg;
}

static void send_until(pthread_t to, int count)
{
	while (left < count && !done) {
		if (ready)
			pthread_kill(to, SIGUSR1);
		usleep(100);
	}
}
static void *sender(void *to)
{
	send_until(*(pthread_t *)to, LEFT);
	return NULL;
}

static void run(void)
{
	pthread_t t, self = pthread_self();
	left = ready = 0;
	inside = done = false;
	if (way == JUMPS_HERE) {
		pthread_create(&t, NULL, sender, &self);
		exec_again(NULL);
		pthread_join(t, NULL);
		return;
	}
	for (int i = 0; i < (way == EXITS ? 40 : 1); i++) {
		ready = 0;
		pthread_create(&t, NULL, exec_again, NULL);
		send_until(t, way == EXITS ? i + 1 : LEFT);
		if (way == EXITS)
			pthread_join(t, NULL);
	}
	usleep(20000); /* it is asleep */
}

int main(void)
{
	struct sigaction act = { .sa_handler = handler };
	bool well = true;
	sigaction(SIGUSR1, &act, NULL);
	if (pipe(sleeping))
		return 2;
	printf("before: %zu\n", lose_and_collect());
	for (way = 0; way < WAYS; way++) {
		run();
		size_t back = lose_and_collect();
		printf("%s: %zu came back\n", names[way], back);
		well &= back > 0;
		if (way == JUMPS_SLEEPS && write(sleeping[1], "x", 1) != 1)
			return 2;
	}
	return !well;
}
