/* A child of fork hangs blocks of its own off one that it inherited, and loses that. Its parent still has it, so what the child made is the
 * child's to tell: the first of a structure is the leak, the rest hangs off it. */
// expect child: definite 2 blocks 208 bytes first_of_child
// expect child: indirect 3 blocks 168 bytes below
#include "leak.h"

HELD void **held;

static SITE void **inherited(void) { return made(calloc(1, 72)); }
static SITE void **first_of_child(void) { return made(calloc(1, 104)); }
static SITE void **below(void) { return made(calloc(1, 56)); }

static SITE void before_fork(void)
{
	held = inherited();
	held[1] = inherited();
}

static SITE void build(void)
{
	void **old = held[1];
	held[2] = first_of_child();
	((void **)held[2])[0] = below();
	((void **)held[2])[1] = below();
	old[0] = first_of_child();
	((void **)old[0])[3] = below();
	held = NULL;
}

int main(void)
{
	before_fork();
	kit_scrub();
	int status = leak_fork(build);
	kit_scrub();
	return status;
}
