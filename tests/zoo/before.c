/* One-based arrays: the only pointers lie 4, 8 or 16 bytes before their blocks, in data and in a block. Run with before=16. */
#include "zoo.h"

enum { COUNT = 3 };
static const uintptr_t offsets[COUNT] = { 4, 8, 16 };
static uintptr_t in_data[COUNT], *in_block;

static __attribute__((noinline)) void place(void)
{
	in_block = calloc(COUNT, sizeof *in_block);
	for (int i = 0; i < COUNT; i++) {
		in_data[i] = (uintptr_t)zoo_block() - offsets[i];
		in_block[i] = (uintptr_t)zoo_block() - offsets[i];
	}
}

int main(void)
{
	int bad = 0;
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	for (int i = 0; i < COUNT; i++)
		bad |= zoo_verdict((void *)(in_data[i] + offsets[i])) | zoo_verdict((void *)(in_block[i] + offsets[i]));
	return bad;
}
