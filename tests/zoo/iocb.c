/* The only pointers are control blocks that were submitted to the kernel's asynchronous input and output, and the data words in
 * them: one by system call, one as libaio does it. The block itself is lost as well, and comes back with its event. */
#include "zoo.h"
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

static aio_context_t context;
static int pipes[2];
static int (*submit)(aio_context_t context, long n, struct iocb **list);
static int (*getevents)(aio_context_t context, long least, long n, struct io_event *events, struct timespec *timeout);

static __attribute__((noinline)) void place(int by_library)
{
	struct iocb *block = calloc(1, sizeof *block);
	block->aio_lio_opcode = IOCB_CMD_POLL;
	block->aio_fildes = (uint32_t)pipes[0];
	block->aio_buf = POLLIN;
	block->aio_data = (uintptr_t)zoo_block();
	if ((by_library ? submit(context, 1, &block) : (int)syscall(SYS_io_submit, context, 1, &block)) != 1)
		exit(errno == EINVAL ? ZOO_NO_PLACE : 2); /* polling came with Linux 4.18 */
	block->aio_data = 0;
	block = NULL;
	__asm__ volatile("" : : "r"(&block) : "memory");
}

static int look(const struct io_event *event)
{
	const struct iocb *block = (const struct iocb *)(uintptr_t)event->obj;
	if (block->aio_lio_opcode != IOCB_CMD_POLL || block->aio_buf != POLLIN) {
		fprintf(stderr, "zoo: a submitted control block was recycled\n");
		return 1;
	}
	return zoo_verdict((const void *)(uintptr_t)event->data);
}

int main(void)
{
	struct io_event events[2];
	zoo_needs_collector();
	*(void **)&submit = dlsym(RTLD_DEFAULT, "io_submit");
	*(void **)&getevents = dlsym(RTLD_DEFAULT, "io_getevents");
	if (syscall(SYS_io_setup, 8, &context))
		return errno == ENOSYS || errno == EAGAIN ? ZOO_NO_PLACE : 2;
	if (pipe(pipes))
		return 2;
	place(0);
	place(submit && getevents);
	zoo_collect(ZOO_SIZE);
	zoo_collect(sizeof(struct iocb));
	if (write(pipes[1], "x", 1) != 1)
		return 2;
	if (syscall(SYS_io_getevents, context, 1, 1, events, NULL) != 1)
		return 2;
	if ((getevents ? getevents(context, 1, 1, events + 1, NULL) : (int)syscall(SYS_io_getevents, context, 1, 1, events + 1, NULL)) != 1)
		return 2;
	return look(events) | look(events + 1);
}
