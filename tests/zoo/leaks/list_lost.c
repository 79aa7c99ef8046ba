/* A list whose head is lost: one definite leak, 999 that hang off it. */
// expect: definite 1 blocks 24 bytes first
// expect: indirect 999 blocks 23976 bytes others
#include "leak.h"

struct node { struct node *next; long value[2]; };
HELD struct node *head;

static SITE struct node *first(void) { return made(malloc(sizeof(struct node))); }
static SITE struct node *others(void) { return made(malloc(sizeof(struct node))); }

static SITE void build(void)
{
	for (int i = 0; i < 1000; i++) {
		struct node *n = i == 999 ? first() : others();
		*n = (struct node){ head, { i, i } };
		head = n;
	}
}

int main(void)
{
	build();
	head = NULL;
	kit_scrub();
	return 0;
}
