/* The only pointer is in a socket, as a part of a message: at no multiple of 8, sent from memory that is no stack. */
#include "zoo.h"
#include <sys/socket.h>
#include <sys/uio.h>

static int ends[2];
static struct __attribute__((packed)) {
	char kind[3];
	void *block;
} message;
static char head[5] = "head";

static __attribute__((noinline)) void place(void)
{
	message.block = zoo_block();
	struct iovec parts[2] = { { head, sizeof head }, { &message, sizeof message } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || sendmsg(ends[1], &m, 0) != (ssize_t)(sizeof head + sizeof message))
		exit(2);
	message.block = NULL;
}

static void *look(void)
{
	if (recv(ends[0], head, sizeof head, MSG_WAITALL) != (ssize_t)sizeof head
	    || recv(ends[0], &message, sizeof message, MSG_WAITALL) != (ssize_t)sizeof message)
		exit(2);
	return message.block;
}

int main(void) { return zoo_with_place(place, look); }
