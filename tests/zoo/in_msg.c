/* The only pointer is a message in a System V queue. */
#include "zoo.h"
#include <sys/ipc.h>
#include <sys/msg.h>

static int queue = -1;
static struct message {
	long type;
	void *block;
} message = { .type = 1 };

static void remove_queue(void) { msgctl(queue, IPC_RMID, NULL); }

static __attribute__((noinline)) void place(void)
{
	queue = msgget(IPC_PRIVATE, 0600);
	if (queue < 0)
		exit(2);
	atexit(remove_queue); /* it would outlive us */
	message.block = zoo_block();
	if (msgsnd(queue, &message, sizeof message.block, 0))
		exit(2);
	message.block = NULL;
}

static void *look(void)
{
	if (msgrcv(queue, &message, sizeof message.block, 0, 0) != (ssize_t)sizeof message.block)
		exit(2);
	return message.block;
}

int main(void) { return zoo_with_place(place, look); }
