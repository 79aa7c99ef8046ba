/* The only pointers carry a tag in their top 16 bits: in a block, in data, and in the value that epoll keeps. Run with tagged=48. */
#include "zoo_epoll.h"

static const uintptr_t TAG = (uintptr_t)0xBEEF << 48, MASK = ((uintptr_t)1 << 48) - 1;
static uintptr_t in_data, *in_block;
static int set;

static __attribute__((noinline)) void place(void)
{
	in_data = (uintptr_t)zoo_block() | TAG;
	in_block = calloc(2, sizeof *in_block);
	in_block[1] = (uintptr_t)zoo_block() | TAG;
	set = zoo_to_epoll((uintptr_t)zoo_block() | TAG);
}

int main(void)
{
	struct epoll_event e;
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	if (epoll_wait(set, &e, 1, 1000) != 1)
		return 2;
	return zoo_verdict((void *)(in_data & MASK)) | zoo_verdict((void *)(in_block[1] & MASK)) | zoo_verdict((void *)(e.data.u64 & MASK));
}
