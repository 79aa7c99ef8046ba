/* A pointer one past the end of a block of whole pages, as stdio keeps two of each buffer, is no pointer to the block behind it. */
// expect: definite 60 blocks 245760 bytes lose_page
// expect: definite 12 blocks 196608 bytes lose_pages
// expect: definite 6 blocks 393216 bytes lose_large
#include "leak.h"

HELD char *starts[3][60], *ends[3][60];

static SITE char *keep(size_t size) { return made(malloc(size)); }
static SITE void lose_page(void) { made(malloc(4096)); }
static SITE void lose_pages(void) { made(malloc(16384)); }
static SITE void lose_large(void) { made(malloc(65536)); }

static SITE void alternate(char **start, char **end, int count, size_t size, void (*lose)(void))
{
	for (int i = 0; i < count; i++) {
		start[i] = keep(size);
		end[i] = start[i] + size;
		lose();
	}
}

int main(void)
{
	alternate(starts[0], ends[0], 60, 4096, lose_page);
	alternate(starts[1], ends[1], 12, 16384, lose_pages);
	alternate(starts[2], ends[2], 6, 65536, lose_large);
	kit_scrub();
	return 0;
}
