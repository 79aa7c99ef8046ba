/* The only pointers lie at each odd byte (align=1): in data, in small blocks, in a mapping, and in a large block also where the marker cuts it in pieces. */
#include "zoo.h"
#include <sys/mman.h>

enum { PIECE = 16 << 10, LARGE = 8 * PIECE, PLACES = 8 };
static char data[PLACES * 16], *small[PLACES], *large, *mapped;

static char *seam(int i) { return large + (1 + i % 7) * PIECE - 8 + i; }
static char *across(int i) { return mapped + (1 + i) * PIECE - 8 + i; }

static __attribute__((noinline)) void place(void)
{
	large = calloc(1, LARGE);
	mapped = mmap(NULL, (PLACES + 1) * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 1; i < PLACES; i++) {
		small[i] = calloc(1, 40 + 24 * i);
		zoo_store(data + 16 * i + i);
		zoo_store(small[i] + 16 + i);
		zoo_store(seam(i));
		zoo_store(across(i));
	}
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	int r = 0;
	for (int i = 1; i < PLACES; i++)
		r |= zoo_look(data + 16 * i + i) | zoo_look(small[i] + 16 + i) | zoo_look(seam(i)) | zoo_look(across(i));
	return r;
}
