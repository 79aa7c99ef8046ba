/*
 * Coroutines on 8 KiB, in malloc'ed and in mapped memory, by swapcontext and by a switch of our own. Half of each stack is in use (or as many
 * bytes as the argument says), and holds the only pointers to a list; what lies below the stack must stay as it was, whatever signals came.
 */
#include "kit.h"
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { COUNT = 16, SIZE = 8192, BELOW = 4096, USED = 4000 };
static ucontext_t back, contexts[COUNT];
static void *back_sp, *stack_pointers[COUNT];
static int wrong, own_switch, use = USED;

/* Saves what a call preserves, exchanges stacks. */
void exchange(void **save, void *load);
__asm__(".text\n.globl exchange\nexchange:\n"
	"push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

static void pass_on(int k)
{
	if (own_switch)
		exchange(&stack_pointers[k], back_sp);
	else
		swapcontext(&contexts[k], &back);
}

static void body(int k)
{
	volatile char used[use];
	struct node *only = NULL;
	memset((char *)used, k, use);
	for (long i = 0;; i++) {
		struct node *fresh = malloc(sizeof *fresh + (size_t)i % 50 * 8);
		fresh->value = i;
		fresh->next = only;
		only = fresh;
		lost = malloc(64);
		for (long want = i; i % 20 == 19 && only; want--) {
			struct node *dead = only;
			wrong += dead->value != want;
			only = dead->next;
			free(dead);
		}
		for (int j = 0; j < use; j++)
			wrong += used[j] != (char)k;
		pass_on(k);
	}
}

static int current;
static void entry(void) { body(current); }

static int run(int in_map, int by_hand)
{
	unsigned char *blocks[COUNT];
	int touched = 0;
	own_switch = by_hand;
	for (int k = 0; k < COUNT; k++) {
		unsigned char *b = in_map ? mmap(NULL, BELOW + SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : malloc(BELOW + SIZE);
		memset(b, 0x5a, BELOW);
		blocks[k] = b;
		if (by_hand) {
			uintptr_t *top = (uintptr_t *)(((uintptr_t)b + BELOW + SIZE) & ~(uintptr_t)15);
			*--top = 0;
			*--top = (uintptr_t)entry;
			stack_pointers[k] = top - 6;
			continue;
		}
		getcontext(&contexts[k]);
		contexts[k].uc_stack.ss_sp = b + BELOW;
		contexts[k].uc_stack.ss_size = SIZE;
		makecontext(&contexts[k], entry, 0);
	}
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (int i = 0; i < 20 * COUNT; i++) {
			current = i % COUNT;
			if (by_hand)
				exchange(&back_sp, stack_pointers[current]);
			else
				swapcontext(&back, &contexts[current]);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 300);
	for (int k = 0; k < COUNT; k++)
		for (int i = 0; i < BELOW; i++)
			touched += blocks[k][i] != 0x5a;
	return touched;
}

int main(int argc, char **argv)
{
	int touched = 0;
	use = argc > 1 ? atoi(argv[1]) : USED;
	for (int i = 0; i < 4; i++)
		touched += run(i & 1, i >> 1);
	printf("%d wrong, %d bytes below stacks touched\n", wrong, touched);
	return wrong || touched;
}
