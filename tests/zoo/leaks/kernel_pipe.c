/* The only pointers are in flight: in a pipe and in a socket. One that was read and thrown away is lost. */
// expect: definite 1 blocks 96 bytes thrown_away
#include "leak.h"
#include <sys/socket.h>

static SITE void *in_pipe(void) { return made(malloc(96)); }
static SITE void *in_socket(void) { return made(malloc(96)); }
static SITE void *thrown_away(void) { return made(malloc(96)); }

static SITE void send_one(int fd, void *(*make)(void))
{
	void *p = make();
	if (write(fd, &p, sizeof p) != sizeof p)
		_exit(2);
	p = NULL;
	use(&p);
}

static SITE void receive(int fd)
{
	void *p;
	if (read(fd, &p, sizeof p) != sizeof p)
		_exit(2);
	p = NULL;
	use(&p);
}

int main(void)
{
	int p[2], s[2], q[2];
	if (pipe(p) || pipe(q) || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return 2;
	send_one(p[1], in_pipe);
	send_one(s[1], in_socket);
	send_one(q[1], thrown_away);
	receive(q[0]);
	kit_scrub();
	return 0;
}
