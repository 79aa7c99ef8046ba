/* Linked by offsets: fontconfig keeps a block as the distance from the structure that owns it. Such a word holds
 * a block, but of lost ones nobody says by it which owns which. */
// expect: definite 1 blocks 64 bytes lost_owner
// expect: definite 1 blocks 96 bytes lost_array
#include "leak.h"

HELD intptr_t *held;

static SITE intptr_t *owner(void) { return made(calloc(1, 64)); }
static SITE char *array(void) { return made(malloc(96)); }
static SITE intptr_t *lost_owner(void) { return made(calloc(1, 64)); }
static SITE char *lost_array(void) { return made(malloc(96)); }

static SITE void build(void)
{
	held = owner();
	held[2] = array() - (char *)held;
	intptr_t *lost = lost_owner();
	lost[2] = lost_array() - (char *)lost;
}

int main(void)
{
	build();
	kit_scrub();
	return 0;
}
