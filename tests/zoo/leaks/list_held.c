/* A list of 50,000, held by its head; half of it is cut off and freed, the rest stays. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"

struct node { struct node *next; long value[3]; };
HELD struct node *head;

static SITE void push(long value)
{
	struct node *n = made(malloc(sizeof *n));
	n->next = head;
	n->value[0] = value;
	head = n;
}

int main(void)
{
	for (long i = 0; i < 50000; i++)
		push(i);
	struct node *n = head;
	for (long i = 0; i < 25000; i++)
		n = n->next;
	struct node *rest = n->next;
	n->next = NULL;
	for (; rest; rest = n) {
		n = rest->next;
		free(rest);
	}
	rest = n = NULL;
	decoy();
	kit_scrub();
	return 0;
}
