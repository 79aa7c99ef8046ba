/* The only way to a locked robust mutex is the thread's robust list, which the kernel walks when the thread ends. */
#include "zoo.h"
#include <linux/futex.h>
#include <sys/syscall.h>

struct guarded {
	pthread_mutex_t mutex;
	char rest[ZOO_SIZE - sizeof(pthread_mutex_t)];
};

static __attribute__((noinline)) void place(void)
{
	pthread_mutexattr_t attr;
	struct guarded *g = zoo_block();
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (pthread_mutex_init(&g->mutex, &attr) || pthread_mutex_lock(&g->mutex))
		exit(2);
}

static int look(void)
{
	struct robust_list_head *head = NULL;
	size_t size = 0;
	if (syscall(SYS_get_robust_list, 0, &head, &size) || head->list.next == &head->list)
		return 2;
	struct guarded *g = (struct guarded *)((char *)head->list.next - offsetof(pthread_mutex_t, __data.__list.__next));
	if (kit_intact(g, sizeof(pthread_mutex_t) / 8, ZOO_SIZE, ZOO_ID) && pthread_mutex_unlock(&g->mutex) == 0)
		return 0;
	fprintf(stderr, "zoo: a robust mutex was recycled while it was locked\n");
	return 1;
}

static void *body(void *unused)
{
	place();
	kit_scrub();
	zoo_wait();
	zoo_result = look();
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
