/* A block that nothing leads to leads to a cycle: the cycle hangs off it, whatever the order in which they were made. */
// expect: definite 2 blocks 128 bytes leader
// expect: indirect 20 blocks 960 bytes follower
#include "leak.h"

struct node { struct node *next; long value[5]; };

static SITE struct node *follower(void) { return made(calloc(1, sizeof(struct node))); }
static SITE struct node **leader(void) { return made(calloc(1, 64)); }

static SITE struct node *circle(void)
{
	struct node *first = follower(), *n = first;
	for (int i = 1; i < 10; i++)
		n = n->next = follower();
	n->next = first;
	return n;
}

static SITE void leader_first(void)
{
	struct node **l = leader();
	l[3] = circle();
}
static SITE void leader_last(void)
{
	struct node *n = circle();
	leader()[5] = n->next;
}

int main(void)
{
	leader_first();
	leader_last();
	kit_scrub();
	return 0;
}
