/* The only pointer lies in a vector register of a thread that spins; memory holds it disguised. */
#include "zoo.h"

static const uint64_t secret = 0xA5C35A3C96E1C3A5ULL; /* of kit_hide */

static __attribute__((noinline)) uintptr_t hidden_block(void) { return kit_hide((uintptr_t)zoo_block()); }

static void *body(void *arg)
{
	uintptr_t hidden = hidden_block(), seen = 0;
	(void)arg;
	kit_scrub();
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
	__asm__ volatile("mov %[hidden], %%rax\n"
	                 "xor %[secret], %%rax\n"
	                 "movq %%rax, %%xmm9\n"
	                 "xor %%eax, %%eax\n"
	                 "1: pause\n"
	                 "cmpl $0, %[go]\n"
	                 "je 1b\n"
	                 "movq %%xmm9, %%rax\n"
	                 "xor %[secret], %%rax\n"
	                 "mov %%rax, %[word]"
	                 : [word] "=&r"(seen)
	                 : [hidden] "r"(hidden), [secret] "m"(secret), [go] "m"(zoo_go)
	                 : "rax", "xmm9", "memory", "cc");
	zoo_result = zoo_verdict((void *)kit_hide(seen));
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
