/* Only a list of a thousand blocks leads to the block: every edge within the heap counts. */
#include "zoo.h"

struct link {
	struct link *next;
	void *end;
	uint64_t tag; /* proves that it is still a link before it is followed */
	char pad[56];
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
		l->tag = ZOO_ID;
		last = l;
	}
	head = last;
}

static void *look(void)
{
	struct link *l = head;
	for (;; l = l->next) {
		if (l->tag != ZOO_ID)
			kit_fail("zoo: link %p of the list was recycled", (void *)l);
		if (!l->next)
			return l->end;
	}
}

int main(void) { return zoo_with_place(place, look); }
