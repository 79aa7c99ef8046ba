/*
 * dlopen without RTLD_DEEPBIND; dlclose.
 *
 * RTLD_DEEPBIND (php's extensions, some database drivers) makes a library prefer its own dependencies, libc's malloc among
 * them, so that its blocks would come from glibc's heap and its frees of our blocks go there. The flag is cleared.
 *
 * dlopen looks at its return address: the library that calls decides about RUNPATH, $ORIGIN and the namespace. A wrapper in
 * C would be that library. So dlopen is a jump: the flag is masked in its register, and the real dlopen finds the caller's own
 * return address. Nothing can be done after the real call then: the list of segments is refreshed at the start of a cycle instead, when
 * the loader's counters of libraries added and removed have changed, and where stacks are recorded by the next dlsym (lookup.c). dlclose does not look at its caller, so it refreshes at once.
 * dlmopen is not wrapped: another namespace has its own libc.
 */
#include "backtrace/leave.h"
#include "heap/sites.h"
#include "preload/taken.h"
#include "preload/real.h"
#include "roots/roots.h"
#include <errno.h>

#if defined __x86_64__
/* The slow path, before the constructor: the stack is 8 off a multiple of 16 at entry; three pushes of 8 make it even. */
__asm__(".text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	".p2align 4\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	andl $~8, %esi\n" /* RTLD_DEEPBIND */
	"	movb $1, roots_loader_used(%rip)\n"
	"	movq real_dlopen(%rip), %rax\n"
	"	testq %rax, %rax\n"
	"	je 1f\n"
	"	jmp *%rax\n"
	"1:	pushq %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rsi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call real_start@PLT\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rsi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp *real_dlopen(%rip)\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n");
#elif defined __aarch64__
__asm__(".text\n"
	".globl dlopen\n"
	".type dlopen, %function\n"
	".p2align 4\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	hint #34\n"       /* bti c */
	"	and w1, w1, #~8\n" /* RTLD_DEEPBIND */
	"	adrp x16, roots_loader_used\n"
	"	mov w17, #1\n"
	"	strb w17, [x16, #:lo12:roots_loader_used]\n"
	"	adrp x16, real_dlopen\n"
	"	ldr x16, [x16, #:lo12:real_dlopen]\n"
	"	cbz x16, 1f\n"
	"	br x16\n"
	"1:	stp x29, x30, [sp, #-32]!\n"
	"	.cfi_adjust_cfa_offset 32\n"
	"	.cfi_rel_offset x30, 8\n"
	"	stp x0, x1, [sp, #16]\n"
	"	bl real_start\n"
	"	ldp x0, x1, [sp, #16]\n"
	"	ldp x29, x30, [sp], #32\n"
	"	.cfi_adjust_cfa_offset -32\n"
	"	.cfi_restore x30\n"
	"	adrp x16, real_dlopen\n"
	"	ldr x16, [x16, #:lo12:real_dlopen]\n"
	"	br x16\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n");
#else
#error "dlopen's jump is to be written for this machine"
#endif
_Static_assert(RTLD_DEEPBIND == 8, "the jumps above mask this bit");

int dlclose(void *handle)
{
	int saved = errno;
	if (sites_on()) /* dlopen does not tell of its end: what goes now may be in no list yet, and recorded stacks lead through it */
		roots_list_segments();
	modules_leave();
	errno = saved;
	const long none[1] = { 0 };
	const bool held = taken_begin(TAKEN_DLCLOSE, none); /* a stack may lie in the module */
	int r = real()->dlclose(handle);
	taken_end(TAKEN_DLCLOSE, none, held);
	saved = errno;
	if (r == 0)
		roots_list_segments();
	modules_left();
	errno = saved;
	return r;
}
