/* A list of which only the middle is held: what stands before it is lost, what follows is not. */
// expect: definite 1 blocks 24 bytes first
// expect: indirect 9 blocks 216 bytes before
#include "leak.h"

struct node { struct node *next; long value[2]; };
HELD struct node *head, *middle;

static SITE struct node *first(void) { return made(malloc(sizeof(struct node))); }
static SITE struct node *before(void) { return made(malloc(sizeof(struct node))); }
static SITE struct node *behind(void) { return made(malloc(sizeof(struct node))); }

static SITE void build(void)
{
	for (int i = 0; i < 20; i++) {
		struct node *n = i < 10 ? behind() : i < 19 ? before() : first();
		*n = (struct node){ head, { i, i } };
		head = n;
		if (i == 9)
			middle = n;
	}
}

int main(void)
{
	build();
	head = NULL;
	kit_scrub();
	return 0;
}
