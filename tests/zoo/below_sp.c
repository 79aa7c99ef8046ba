/* Below the stack pointer there are live frames: the thread has switched to a stack that is an array in one of its own frames, main's and a
 * thread's; or a stack of the program's own has data at its low end; or a coroutine whose frames are a segment of the same stack was left
 * by longjmp, and the stack pointer is above it again. */
#include "zoo.h"
#include <setjmp.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
int main(void) { return ZOO_NO_PLACE; }
#else

/* Saves the stack pointer in *save and goes on at `to`, where another switch saved its registers. */
void zoo_switch(void **save, void *to);
__asm__(".text\n"
	".globl zoo_switch\n"
	"zoo_switch:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
	"	ret\n");

enum { ROOM = 128 * 1024 };
static void *outside, *inside;

static void coroutine(void)
{
	zoo_collect(ZOO_SIZE);
	zoo_switch(&inside, outside);
}

/* Deep below the array, whose end holds the coroutine: this frame waits while that runs. */
static __attribute__((noinline)) int waits(char *array)
{
	void *volatile kept[3] = { NULL, zoo_block(), NULL };
	void **top = (void **)((uintptr_t)(array + ROOM) & ~(uintptr_t)15) - 2;
	*top = (void *)coroutine;
	for (int i = 1; i <= 6; i++)
		top[-i] = NULL;
	kit_scrub();
	zoo_switch(&outside, top - 6);
	return zoo_verdict(kept[1]);
}

static __attribute__((noinline)) int in_a_frame(void)
{
	char array[ROOM];
	array[0] = 0;
	int bad = waits(array);
	return bad | array[0];
}

static void *in_a_thread(void *result)
{
	*(int *)result = in_a_frame();
	return NULL;
}

/* -- data at the low end of a stack -- */

static char *low;
static void *at_the_end(void *unused)
{
	*(void **)low = zoo_block();
	kit_scrub();
	zoo_wait();
	zoo_result = zoo_verdict(*(void **)low);
	return unused;
}

static int own_stack(void)
{
	pthread_attr_t attr;
	low = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, low, 1 << 20);
	return zoo_with_thread_of(&attr, at_the_end);
}

/* -- a segment that was left by longjmp, far below what runs above it meanwhile -- */

static jmp_buf above, segment;
static volatile int verdict;

static __attribute__((noinline)) void in_segment(void)
{
	void *volatile kept = zoo_block();
	kit_scrub();
	if (setjmp(segment) == 0)
		longjmp(above, 1);
	verdict = zoo_verdict((void *)kept);
	longjmp(above, 2);
}

static __attribute__((noinline)) void far_below(void)
{
	volatile char between[256 * 1024]; /* what main's calls use lies above */
	between[0] = 0;
	in_segment();
	verdict = between[0];
}

static int left_by_longjmp(void)
{
	switch (setjmp(above)) {
	case 0:
		far_below();
		return 2;
	case 1:
		zoo_collect(ZOO_SIZE);
		longjmp(segment, 1);
	default:
		return verdict;
	}
}

int main(void)
{
	int in_thread = 1;
	pthread_t t;
	pthread_attr_t attr;
	zoo_needs_collector();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 20);
	if (pthread_create(&t, &attr, in_a_thread, &in_thread))
		return 2;
	pthread_join(t, NULL);
	return in_thread | in_a_frame() | own_stack() | left_by_longjmp();
}
#endif
