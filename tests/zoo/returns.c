/* A block that is unreachable in some cycles and reachable in others is never recycled while grace lasts: found again, it
 * returns to allocated and its count starts anew (law 7). Run with stress=1:grace=32: each refill is a cycle, and the
 * program hides its pointer for a few of them at a time, far fewer than 32 in a row but more than 32 in all. */
#include "zoo.h"

static void *volatile shown;
static uintptr_t hidden;

static __attribute__((noinline)) void hide(void)
{
	hidden = kit_hide((uintptr_t)shown);
	shown = NULL;
}
static __attribute__((noinline)) void show(void)
{
	shown = (void *)kit_hide(hidden);
}

/* Blocks of 3,000 bytes come one a refill, so this is about n cycles. */
static __attribute__((noinline)) void refills(int n)
{
	for (int i = 0; i < n; i++) {
		void *volatile p[2] = { malloc(3000), malloc(3000) };
		free(p[0]);
		free(p[1]);
	}
}

int main(void)
{
	zoo_needs_collector();
	shown = zoo_block();
	for (int round = 0; round < 40; round++) {
		hide();
		kit_scrub();
		refills(4);
		show();
		refills(4);
	}
	return zoo_verdict(shown);
}
