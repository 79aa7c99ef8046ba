/* Lost cycles: of 1, 2 and 100 blocks; one with a tail; two that share one block. One block of each is definite. */
// expect: definite 1 blocks 48 bytes of_one
// expect: definite 1 blocks 48 bytes of_two
// expect: indirect 1 blocks 48 bytes of_two
// expect: definite 1 blocks 48 bytes of_hundred
// expect: indirect 99 blocks 4752 bytes of_hundred
// expect: indirect 3 blocks 72 bytes tail
#include "leak.h"

struct node { struct node *next, *other; long value[4]; };

static SITE void of_one(void)
{
	struct node *n = made(malloc(sizeof *n));
	*n = (struct node){ n, NULL, { 0 } };
}
static SITE struct node *of_two(void) { return made(calloc(1, sizeof(struct node))); }
static SITE struct node *of_hundred(void) { return made(calloc(1, sizeof(struct node))); }
static SITE void **tail(void) { return made(calloc(1, 24)); }

static SITE void two(void)
{
	struct node *a = of_two(), *b = of_two();
	a->next = b;
	b->next = a;
}

static SITE void hundred(void)
{
	struct node *all[100];
	for (int i = 0; i < 100; i++)
		all[i] = of_hundred();
	for (int i = 0; i < 100; i++)
		all[i]->next = all[(i + 1) % 100];
	void **last = NULL;
	for (int i = 0; i < 3; i++) {
		void **t = tail();
		*t = last;
		last = t;
	}
	all[37]->other = (struct node *)(void *)last;
	memset(all, 0, sizeof all);
	use(all);
}

int main(void)
{
	of_one();
	two();
	hundred();
	kit_scrub();
	return 0;
}
