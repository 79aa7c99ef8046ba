/* The only pointer is a message in a POSIX queue. */
#include "zoo.h"
#include <fcntl.h>
#include <mqueue.h>

static mqd_t queue;

static __attribute__((noinline)) void place(void)
{
	char name[32];
	struct mq_attr sizes = { .mq_maxmsg = 4, .mq_msgsize = sizeof(void *) };
	snprintf(name, sizeof name, "/cgc-zoo-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &sizes);
	mq_unlink(name);
	void *block = zoo_block();
	if (queue == (mqd_t)-1 || mq_send(queue, (const char *)&block, sizeof block, 0))
		exit(2);
	block = NULL;
	__asm__ volatile("" : : "r"(&block) : "memory");
}

static void *look(void)
{
	void *block = NULL;
	if (mq_receive(queue, (char *)&block, sizeof block, NULL) != (ssize_t)sizeof block)
		exit(2);
	return block;
}

int main(void) { return zoo_with_place(place, look); }
