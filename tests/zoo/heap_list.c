/* Only a list of a thousand blocks leads to the block: every edge within the heap counts. */
#include "zoo.h"

struct link {
	struct link *next;
	void *end;
	char pad[64];
};
static struct link *volatile head;

static __attribute__((noinline)) void place(void)
{
	struct link *last = NULL;
	for (int i = 0; i < 1000; i++) {
		struct link *l = calloc(1, sizeof *l);
		if (!l)
			exit(2);
		if (i == 0)
			l->end = zoo_block();
		l->next = last;
		last = l;
	}
	head = last;
}

static void *look(void)
{
	struct link *l = head;
	while (l->next)
		l = l->next;
	return l->end;
}

int main(void) { return zoo_with_place(place, look); }
