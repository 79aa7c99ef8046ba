/* The owner was freed and its children were not: nothing that was freed can hold them, so each is a definite leak. */
// expect: definite 100 blocks 5600 bytes child
#include "leak.h"

static SITE void **owner(void) { return made(calloc(10, sizeof(void *))); }
static SITE void *child(void) { return made(malloc(56)); }

static SITE void build(void)
{
	void **all[10];
	for (int i = 0; i < 10; i++) {
		all[i] = owner();
		for (int k = 0; k < 10; k++)
			all[i][k] = child();
	}
	for (int i = 0; i < 10; i++)
		free(all[i]);
	memset(all, 0, sizeof all);
	use(all);
}

int main(void)
{
	build();
	kit_scrub();
	return 0;
}
