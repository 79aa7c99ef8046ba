/* Arrays of pointers in alloca and variable-length arrays hold; those of functions that returned do not. */
// expect: definite 30 blocks 2160 bytes returned
#include "leak.h"
#include <alloca.h>

static SITE void *returned(void) { return made(malloc(72)); }
static SITE void *kept(void) { return made(malloc(72)); }

static SITE void **fill(void **array, int n, void *(*make)(void))
{
	for (int i = 0; i < n; i++)
		array[i] = make();
	return array;
}

static SITE void returns(int n) { use(fill(alloca((size_t)n * sizeof(void *)), n, returned)); }

static SITE void stays(int n)
{
	use(fill(alloca((size_t)n * sizeof(void *)), n, kept));
	kit_scrub();
	exit(0);
}

int main(int argc, char **argv)
{
	returns(29 + argc);
	kit_scrub();
	stays(29 + argc);
	return 1;
}
