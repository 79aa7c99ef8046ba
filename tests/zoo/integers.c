/* The only pointers are integers of a language: shifted by one, two or three bits with a tag, or in two digits of 30 bits (CPython); in data, in a
 * small and in a large block, at each place modulo the vectors' width, and in what epoll keeps. */
#include "zoo_epoll.h"

enum { FORMS = 4, PLACES = 37, SMALL = 8, LARGE = 80 };
static uintptr_t in_data[FORMS * PLACES], *in_block[FORMS][SMALL], *in_large[FORMS][PLACES];
static int set;

static uintptr_t dressed(uintptr_t p, int form)
{
	return form < 3 ? p << (form + 1) | 1 : (p & 0x3fffffff) | p >> 30 << 32;
}

static void *bare(uintptr_t w, int form)
{
	return (void *)(form < 3 ? w >> (form + 1) : (w & 0x3fffffff) | w >> 32 << 30);
}

/* Never hidden as zoo_block hides it, not even between two calls of malloc: with so many blocks a cycle would come in between. */
static __attribute__((noinline)) uintptr_t made(int form)
{
	zoo_decoys();
	return dressed((uintptr_t)zoo_block_of(ZOO_SIZE, 0), form);
}

static __attribute__((noinline)) void place(void)
{
	for (int i = 0; i < FORMS * PLACES; i++)
		in_data[i] = made(i % FORMS);
	for (int form = 0; form < FORMS; form++) {
		for (int i = 0; i < SMALL; i++) {
			in_block[form][i] = calloc(SMALL, sizeof(uintptr_t));
			in_block[form][i][i] = made(form);
		}
		for (int i = 0; i < PLACES; i++) {
			in_large[form][i] = calloc(LARGE - 16 + i % 16, sizeof(uintptr_t));
			in_large[form][i][LARGE - 17 - i] = made(form);
		}
	}
	set = zoo_to_epoll(made(0));
}

int main(void)
{
	struct epoll_event e;
	int bad = 0;
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	for (int i = 0; i < FORMS * PLACES; i++)
		bad |= zoo_verdict(bare(in_data[i], i % FORMS));
	for (int form = 0; form < FORMS; form++) {
		for (int i = 0; i < SMALL; i++)
			bad |= zoo_verdict(bare(in_block[form][i][i], form));
		for (int i = 0; i < PLACES; i++)
			bad |= zoo_verdict(bare(in_large[form][i][LARGE - 17 - i], form));
	}
	if (epoll_wait(set, &e, 1, 1000) != 1)
		return 2;
	return bad | zoo_verdict(bare(e.data.u64, 0));
}
