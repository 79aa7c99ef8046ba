/* Doubly linked lists: one held by its middle, so that all of it is; one lost, where each node points to its neighbours. */
// expect: definite 1 blocks 32 bytes lost_node
// expect: indirect 99 blocks 3168 bytes lost_node
#include "leak.h"

struct node { struct node *next, *previous; long value[2]; };
HELD struct node *held, *tail;

static SITE struct node *held_node(void) { return made(malloc(sizeof(struct node))); }
static SITE struct node *lost_node(void) { return made(malloc(sizeof(struct node))); }

static SITE void build(struct node *(*make)(void))
{
	tail = NULL;
	for (int i = 0; i < 100; i++) {
		struct node *n = make();
		*n = (struct node){ NULL, tail, { i, i } };
		if (tail)
			tail->next = n;
		tail = n;
		if (i == 50 && make == held_node)
			held = n;
	}
	tail = NULL;
}

int main(void)
{
	build(held_node);
	build(lost_node);
	kit_scrub();
	return 0;
}
