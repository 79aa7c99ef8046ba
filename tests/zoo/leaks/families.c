/* One leak by each function that allocates, and the same calls once more with a pointer kept. */
// expect: definite 1 blocks 100 bytes by_malloc
// expect: definite 1 blocks 105 bytes by_calloc
// expect: definite 1 blocks 110 bytes by_realloc
// expect: definite 1 blocks 120 bytes by_reallocarray
// expect: definite 1 blocks 128 bytes by_memalign
// expect: definite 1 blocks 512 bytes by_aligned_alloc
// expect: definite 1 blocks 3900 bytes by_posix_memalign
// expect: definite 1 blocks 8000 bytes by_valloc
// expect: definite 1 blocks 8192 bytes by_pvalloc
#include "leak.h"
#include <malloc.h>

HELD void *held[16];

static SITE void *by_malloc(void) { return made(malloc(100)); }
static SITE void *by_calloc(void) { return made(calloc(3, 35)); }
static SITE void *by_realloc(void) { return made(realloc(NULL, 110)); }
static SITE void *by_reallocarray(void) { return made(reallocarray(NULL, 4, 30)); }
static SITE void *by_memalign(void) { return made(memalign(64, 128)); }
static SITE void *by_aligned_alloc(void) { return made(aligned_alloc(256, 512)); }
static SITE void *by_posix_memalign(void)
{
	void *p = NULL;
	return made(posix_memalign(&p, 4096, 3900) ? NULL : p);
}
static SITE void *by_valloc(void) { return made(valloc(8000)); }
static SITE void *by_pvalloc(void) { return made(pvalloc(5000)); }

static void *(*const all[])(void) = { by_malloc, by_calloc, by_realloc, by_reallocarray, by_memalign, by_aligned_alloc,
	by_posix_memalign, by_valloc, by_pvalloc };

int main(void)
{
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		held[i] = all[i]();
		all[i]();
	}
	kit_scrub();
	return 0;
}
