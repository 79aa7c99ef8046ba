/* The only pointer lies in a general register of a thread that runs at exit. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

static SITE uintptr_t fill(void) { return kit_hide((uintptr_t)made(malloc(200))); }

static void *body(void *arg)
{
	uintptr_t hidden = fill();
	kit_scrub();
	__asm__ volatile("mov %[hidden], %%r13\n"
	                 "movabs $0xA5C35A3C96E1C3A5, %%rax\n"
	                 "xor %%rax, %%r13\n"
	                 "xor %%eax, %%eax\n"
	                 "movl $1, %[ready]\n"
	                 "1: pause\n"
	                 "jmp 1b"
	                 : [ready] "=m"(leak_ready) : [hidden] "r"(hidden) : "rax", "r13", "memory", "cc");
	return arg;
}

int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, NULL))
		return 2;
	leak_wait();
	decoy();
	kit_scrub();
	return 0;
}
