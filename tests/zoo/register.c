/* The only pointer lies in a general register of a thread that spins; memory holds it disguised. */
#include "zoo.h"

static const uint64_t secret = 0xA5C35A3C96E1C3A5ULL; /* of kit_hide */

static __attribute__((noinline)) uintptr_t hidden_block(void) { return kit_hide((uintptr_t)zoo_block()); }

static void *body(void *arg)
{
	uintptr_t hidden = hidden_block(), seen = 0;
	(void)arg;
	kit_scrub();
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
	__asm__ volatile("xor %[secret], %[word]\n"
	                 "1: pause\n"
	                 "cmpl $0, %[go]\n"
	                 "je 1b\n"
	                 "xor %[secret], %[word]"
	                 : [word] "=&r"(seen)
	                 : "0"(hidden), [secret] "m"(secret), [go] "m"(zoo_go)
	                 : "memory", "cc");
	zoo_result = zoo_verdict((void *)kit_hide(seen));
	return NULL;
}

int main(void) { return zoo_with_thread(body); }
