/* How much stack malloc takes: on a painted one, in functions that were never unwound before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { SIZE = 65536, PAINT = 0xa7 };
static ucontext_t outside, inside;
static unsigned char *stack;

#define CALLER(name) __attribute__((noinline)) static void name(size_t n) { void *volatile p = malloc(n); (void)p; }
CALLER(first) CALLER(second) CALLER(third) CALLER(fourth)
static void body(void)
{
	first(24);
	second(100);
	third(5000);
	fourth(100000);
	first(24);
}

int main(void)
{
	int untouched = 0;
	stack = aligned_alloc(4096, SIZE);
	memset(stack, PAINT, SIZE);
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = SIZE;
	inside.uc_link = &outside;
	makecontext(&inside, body, 0);
	swapcontext(&outside, &inside);
	while (stack[untouched] == PAINT)
		untouched++;
	printf("%d\n", SIZE - untouched);
	return 0;
}
