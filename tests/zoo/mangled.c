/* The only pointers were in rbp when setjmp was called, which glibc writes down mangled: into data and into a block. */
#include "zoo.h"
#include <setjmp.h>

static jmp_buf in_data, *in_block;

static __attribute__((noinline)) void save(void *p, void *buffer)
{
	__asm__ volatile("push %%rbp\n"
	                 "sub $136, %%rsp\n" /* red zone, and 16-byte alignment whatever it was */
	                 "mov %%rsp, %%rbx\n"
	                 "and $-16, %%rsp\n"
	                 "mov %0, %%rbp\n"
	                 "mov %1, %%rdi\n"
	                 "call _setjmp@PLT\n"
	                 "xor %%ebp, %%ebp\n"
	                 "mov %%rbx, %%rsp\n"
	                 "add $136, %%rsp\n"
	                 "pop %%rbp\n"
	                 : "+r"(p)
	                 : "r"(buffer)
	                 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

static __attribute__((noinline)) void place(void)
{
	in_block = calloc(1, sizeof *in_block);
	save(zoo_block(), in_data);
	save(zoo_block(), *in_block);
}

static void *look(const struct __jmp_buf_tag *buffer)
{
	uintptr_t guard, w = (uintptr_t)buffer->__jmpbuf[1]; /* rbp */
	__asm__("movq %%fs:0x30, %0" : "=r"(guard));
	return (void *)((w >> 17 | w << 47) ^ guard);
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(look(in_data)) | zoo_verdict(look(*in_block));
}
