/* __lsan_ignore_object, by any address in the block; large blocks too. A block that takes the place of one that was freed is not ignored. */
// expect: definite 50 blocks 4000 bytes second
// expect: definite 1 blocks 400000 bytes large_second
#include "lsan.h"

static SITE char *ignored(size_t size) { return made(malloc(size)); }
static SITE void *owned(void) { return made(malloc(24)); }
static SITE char *first(size_t size) { return made(malloc(size)); }
static SITE void second(void) { made(malloc(80)); }
static SITE void large_second(void) { made(malloc(400000)); }

static SITE void lose(void)
{
	char *p = ignored(64);
	*(void **)(void *)p = owned();
	__lsan_ignore_object(p);
	__lsan_ignore_object(ignored(3000) + 1234);
	__lsan_ignore_object(ignored(500000) + 400000);
	__lsan_ignore_object(NULL);
	__lsan_ignore_object(&p);
	for (int i = 0; i < 50; i++) {
		p = first(80);
		__lsan_ignore_object(p);
		free(p);
		second();
	}
	p = first(400000);
	__lsan_ignore_object(p);
	free(p);
	large_second();
}

int main(void)
{
	lsan_needed();
	lose();
	kit_scrub();
	return 0;
}
