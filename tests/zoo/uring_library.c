/* As uring.c, by liburing, whose system calls are its own: the only pointer is the user_data of a request in flight, and cycles go on
 * although the ring's entries are used again and again. */
#include "zoo.h"

#if __has_include(<liburing.h>)
#include <liburing.h>
#include <poll.h>

static struct io_uring ring;
static int pipes[2];

static __attribute__((noinline)) void place(void)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&ring);
	io_uring_prep_poll_add(e, pipes[0], POLLIN);
	io_uring_sqe_set_data(e, zoo_block());
	if (io_uring_submit(&ring) != 1)
		exit(2);
}

static __attribute__((noinline)) void *take(void)
{
	struct io_uring_cqe *c;
	if (io_uring_wait_cqe(&ring, &c))
		exit(2);
	void *data = io_uring_cqe_get_data(c);
	io_uring_cqe_seen(&ring, c);
	return data;
}

static __attribute__((noinline)) void run_nops(void)
{
	for (int i = 0; i < 50; i++) {
		struct io_uring_sqe *e = io_uring_get_sqe(&ring);
		io_uring_prep_nop(e);
		io_uring_sqe_set_data(e, NULL);
		if (io_uring_submit(&ring) != 1 || take())
			exit(2);
	}
}

int main(void)
{
	zoo_needs_collector();
	if (io_uring_queue_init(4, &ring, 0))
		return ZOO_NO_PLACE;
	if (pipe(pipes))
		return 2;
	place();
	run_nops();
	zoo_collect(ZOO_SIZE);
	run_nops();
	zoo_collect(ZOO_SIZE);
	if (write(pipes[1], "x", 1) != 1)
		return 2;
	volatile uintptr_t hidden = kit_hide((uintptr_t)take()); /* volatile: or the address stays in a register */
	if (zoo_verdict((const void *)kit_hide(hidden)))
		return 1;
	run_nops();
	zoo_collect(ZOO_SIZE);
	zoo_collect(ZOO_SIZE);
	if (!kit_intact((const void *)kit_hide(hidden), 0, ZOO_SIZE, ZOO_ID))
		return 0;
	fprintf(stderr, "zoo: a request that came back is still held, or no cycle completes\n");
	return 1;
}
#else
int main(void) { return ZOO_NO_PLACE; }
#endif
