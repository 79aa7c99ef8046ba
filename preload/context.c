/*
 * makecontext: a coroutine's stack may be an array in a frame of the thread's own stack. While the coroutine runs, the stack
 * pointer lies inside the thread's bounds, and live frames of the thread lie below it, where a stop would take them for dead.
 * From such a call on the thread's bounds count as unknown: all of its stack is scanned, which costs precision only.
 * (altstack.c does the same for an alternate stack that disarms itself.)
 *
 * makecontext takes any number of arguments on registers and stack, so the wrapper is a jump: it looks at the context and
 * leaves everything as it was.
 */
#include "preload/real.h"
#include "heap/self.h"
#include "threads/threads.h"
#include <ucontext.h>

void context_made(const ucontext_t *context);

void context_made(const ucontext_t *context)
{
	uintptr_t low = (uintptr_t)context->uc_stack.ss_sp;
	if (low - self.stack_low < self.stack_high - self.stack_low)
		threads_stack_known(0, 0);
}

#if defined __x86_64__
/* At entry the stack is 8 off a multiple of 16; seven pushes make it even. */
__asm__(".text\n"
	".globl makecontext\n"
	".type makecontext, @function\n"
	".p2align 4\n"
	"makecontext:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	pushq %rdi\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rsi\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rdx\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rcx\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r8\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r9\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rax\n	.cfi_adjust_cfa_offset 8\n"
	"	cmpq $0, real_makecontext(%rip)\n"
	"	jne 1f\n"
	"	call real_start@PLT\n"
	"	movq 48(%rsp), %rdi\n"
	"1:	call context_made@PLT\n"
	"	popq %rax\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %r9\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %r8\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rcx\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdx\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rsi\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdi\n	.cfi_adjust_cfa_offset -8\n"
	"	jmp *real_makecontext(%rip)\n"
	"	.cfi_endproc\n"
	".size makecontext, . - makecontext\n");
#elif defined __aarch64__
__asm__(".text\n"
	".globl makecontext\n"
	".type makecontext, %function\n"
	".p2align 4\n"
	"makecontext:\n"
	"	.cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"	stp x29, x30, [sp, #-80]!\n"
	"	.cfi_adjust_cfa_offset 80\n"
	"	.cfi_rel_offset x30, 8\n"
	"	stp x0, x1, [sp, #16]\n"
	"	stp x2, x3, [sp, #32]\n"
	"	stp x4, x5, [sp, #48]\n"
	"	stp x6, x7, [sp, #64]\n"
	"	bl real_start\n"
	"	ldr x0, [sp, #16]\n"
	"	bl context_made\n"
	"	ldp x6, x7, [sp, #64]\n"
	"	ldp x4, x5, [sp, #48]\n"
	"	ldp x2, x3, [sp, #32]\n"
	"	ldp x0, x1, [sp, #16]\n"
	"	ldp x29, x30, [sp], #80\n"
	"	.cfi_adjust_cfa_offset -80\n"
	"	.cfi_restore x30\n"
	"	adrp x16, real_makecontext\n"
	"	ldr x16, [x16, #:lo12:real_makecontext]\n"
	"	br x16\n"
	"	.cfi_endproc\n"
	".size makecontext, . - makecontext\n");
#else
#error "makecontext's jump is to be written for this machine"
#endif
