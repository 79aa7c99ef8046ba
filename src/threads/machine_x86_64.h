/*
 * What the threads room needs of x86-64 itself: the words of a signal frame, the signal restorer, and the
 * switch to another stack. The only file of the room with assembly; another machine needs a file with the same names.
 */
#ifndef CGC_THREADS_MACHINE_X86_64_H
#define CGC_THREADS_MACHINE_X86_64_H

#include <errno.h>
#include "base/bits.h"
#include "os/syscall.h"
#include <asm/prctl.h>
#include <ucontext.h>

static inline __attribute__((always_inline)) uintptr_t machine_sp(void)
{
	uintptr_t sp;
	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
}

/* Base of thread-local storage; 0: this thread has none, and touching a _Thread_local variable would fault. false: the
 * kernel does not say. */
static inline __attribute__((always_inline)) bool machine_tls(uintptr_t *base)
{
	*base = 0;
	return syscall2(SYS_arch_prctl, ARCH_GET_FS, (long)base) == 0;
}

/* The bases of fs and gs: the thread's control block, and whatever a program keeps in gs. */
enum { MACHINE_BASES = 2 };
static inline __attribute__((always_inline)) bool machine_bases(uintptr_t *words)
{
	words[1] = 0;
	return machine_tls(&words[0]) && syscall2(SYS_arch_prctl, ARCH_GET_GS, (long)&words[1]) == 0;
}

/* Registers that a function call preserves: at a call they may hold what the callers' frames do not. */
static inline __attribute__((always_inline)) unsigned machine_saved_registers(uintptr_t *words)
{
	__asm__ volatile("mov %%rbx, 0(%0)\n\tmov %%rbp, 8(%0)\n\tmov %%r12, 16(%0)\n\t"
			 "mov %%r13, 24(%0)\n\tmov %%r14, 32(%0)\n\tmov %%r15, 40(%0)" : : "r"(words) : "memory");
	return 6;
}

/* Every general register of interrupted code, rip and rsp included. The kernel's order has them first. */
static inline __attribute__((always_inline)) unsigned machine_registers(const ucontext_t *uc, uintptr_t *words)
{
	for (unsigned i = 0; i <= REG_RIP; i++)
		words[i] = (uintptr_t)uc->uc_mcontext.gregs[i];
	return REG_RIP + 1;
}
static inline __attribute__((always_inline)) uintptr_t machine_context_sp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}
static inline __attribute__((always_inline)) uintptr_t machine_context_pc(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}
static inline __attribute__((always_inline)) long machine_context_result(const ucontext_t *uc)
{
	return (long)uc->uc_mcontext.gregs[REG_RAX];
}

/* First argument of the system call that the frame stands at. */
static inline __attribute__((always_inline)) long machine_context_argument(const ucontext_t *uc)
{
	return (long)uc->uc_mcontext.gregs[REG_RDI];
}

/* The frame stands at a system call instruction that is about to run: it returns -EINTR instead. */
static inline __attribute__((always_inline)) void machine_context_cut(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RAX] = -EINTR;
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

/* What the kernel says of a register image, in the bytes that XSAVE leaves to software (struct _fpx_sw_bytes at offset 464, kernel 2.6.30): magic, bytes
 * with a magic behind, features (64 bits), bytes. NULL: nothing. */
typedef const uint32_t __attribute__((may_alias)) *machine_image_words;
static inline __attribute__((always_inline)) machine_image_words machine_image(uintptr_t fp)
{
	const machine_image_words sw = (machine_image_words)(fp + 464);
	return fp && sw[0] == 0x46505853u ? sw : NULL;
}

/* End of the signal frame. The kernel lays the register image (vector registers included) above the context. */
static inline __attribute__((always_inline)) uintptr_t machine_frame_end(const ucontext_t *uc)
{
	uintptr_t end = (uintptr_t)(uc + 1), fp = (uintptr_t)uc->uc_mcontext.fpregs;
	if (fp) {
		const machine_image_words sw = machine_image(fp);
		uintptr_t size = sw && sw[1] >= 512 && sw[1] < 64 * 1024 ? sw[1] : 512;
		if (fp + size > end)
			end = fp + size;
	}
	return end;
}

/*
 * Where the registers lie in a signal frame: general ones, then each part of the image that XSAVE wrote, in the standard format (Intel SDM
 * volume 1, 13.4; places of parts from 2 up by CPUID leaf 13, which a hypervisor may take long for: asked once a part, by whoever collects).
 * What lies between is as old as the stack there. 0: the image is not of that form.
 */
enum { MACHINE_PARTS = 24 };
static inline unsigned machine_register_parts(const ucontext_t *uc, struct range *parts)
{
	enum { LEGACY = 512, HEADER = 64, X87 = 32, X87_BYTES = 128, SSE = 160, SSE_BYTES = 256 };
	static struct { uint32_t offset, bytes; } extended[64];
	const uintptr_t fp = (uintptr_t)uc->uc_mcontext.fpregs, general = (uintptr_t)uc->uc_mcontext.gregs;
	const machine_image_words sw = machine_image(fp);
	const uint64_t __attribute__((may_alias)) *header = (const void *)(fp + LEGACY); /* which parts are there, and 0: not compact */
	if (!sw || sw[4] < LEGACY + HEADER || sw[4] >= 64 * 1024 || header[1] || ~header[0] & 3)
		return 0;
	parts[0] = (struct range){ general, general + (REG_RIP + 1) * sizeof(uintptr_t) };
	parts[1] = (struct range){ fp + X87, fp + X87 + X87_BYTES };
	parts[2] = (struct range){ fp + SSE, fp + SSE + SSE_BYTES };
	unsigned n = 3;
	for (uint64_t left = header[0] >> 2 << 2; left; left &= left - 1, n++) {
		const unsigned i = (unsigned)__builtin_ctzll(left);
		uint32_t unused;
		if (!extended[i].bytes)
			__asm__ volatile("cpuid" : "=a"(extended[i].bytes), "=b"(extended[i].offset), "=c"(unused), "=d"(unused) : "a"(13), "c"(i));
		if (n == MACHINE_PARTS || !extended[i].bytes || (uint64_t)extended[i].offset + extended[i].bytes > sw[4])
			return 0;
		parts[n] = (struct range){ fp + extended[i].offset, fp + extended[i].offset + extended[i].bytes };
	}
	return n;
}

enum { MACHINE_SYSCALL_BYTES = 2, MACHINE_RED_ZONE = 128 };
/* Are these two bytes the system call instruction? */
static inline __attribute__((always_inline)) bool machine_is_syscall(const uint8_t *code)
{
	return code[0] == 0x0f && code[1] == 0x05;
}

/*
 * Protection keys. The kernel gives a handler the rights of a new thread, which has pages of key 0 alone, and the stack that the program runs on may
 * have another: so each handler of ours is entered by MACHINE_ENTRY, which opens all keys before anything is pushed. rt_sigreturn puts the
 * thread's own rights back. The handler's fourth argument: what the kernel gave. (RDPKRU and WRPKRU by their bytes: an assembler may not know them.)
 */
extern uint8_t machine_keys; /* there are keys: set before the first handler */
#define RDPKRU ".byte 0x0f, 0x01, 0xee\n\t"
#define WRPKRU ".byte 0x0f, 0x01, 0xef\n\t"
#define MACHINE_ENTRY(entry, handler) \
	__asm__(".text\n\t.p2align 4\n\t.globl " #entry "\n\t.hidden " #entry "\n\t.type " #entry ",@function\n" \
		#entry ":\n\t.cfi_startproc\n\tendbr64\n\tcmpb $0, machine_keys(%rip)\n\tje 1f\n\t" \
		"mov %rdx, %r8\n\txor %ecx, %ecx\n\t" RDPKRU "mov %eax, %r9d\n\t" \
		"xor %eax, %eax\n\txor %edx, %edx\n\t" WRPKRU "mov %r8, %rdx\n\tmov %r9d, %ecx\n" \
		"1:\tjmp " #handler "\n\t.cfi_endproc\n\t.size " #entry ", .-" #entry "\n")

/* CPUID makes a virtual machine stop: asked once, where a cycle or an alternate stack begins. */
static inline bool machine_has_keys(void)
{
	enum { OSPKE = 1 << 4 };
	uint32_t a = 0, b, c = 0, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (a < 7)
		return false;
	a = 7, c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c & OSPKE;
}
static inline __attribute__((always_inline)) void machine_set_rights(uint32_t rights)
{
	if (UNLIKELY(machine_keys))
		__asm__ volatile(WRPKRU : : "a"(rights), "c"(0), "d"(0) : "memory");
}
/* madvise with the rights of a handler. The caller's own stack may be closed to them, so nothing is pushed meanwhile. */
static inline __attribute__((always_inline)) long machine_advise(uintptr_t at, size_t size, long advice)
{
	enum { OF_HANDLERS = 0x55555554 }; /* the kernel's default */
	uint32_t rights = 0, high;
	long r;
	if (!machine_keys)
		return syscall3(SYS_madvise, (long)at, (long)size, advice);
	__asm__ volatile(RDPKRU : "=a"(rights), "=d"(high) : "c"(0));
	__asm__ volatile("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov %[closed], %%eax\n\t" WRPKRU
			 "mov %[number], %%eax\n\tmov %[advice], %%rdx\n\tsyscall\n\tmov %%rax, %[r]\n\t"
			 "xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov %[rights], %%eax\n\t" WRPKRU
			 : [r] "=&r"(r) : "D"(at), "S"(size), [advice] "r"(advice), [rights] "r"(rights), [closed] "i"(OF_HANDLERS), [number] "i"(SYS_madvise)
			 : "rax", "rcx", "rdx", "r11", "memory");
	return r;
}

void machine_restorer(void);
void machine_counting_restorer(void); /* the same behind an addition to self.handled */
/* Pushes the preserved registers, switches to stack_top, calls fn(sp, a, b) there, switches back. sp: where the pushed
 * registers lie. */
void machine_switch(void *stack_top, void (*fn)(uintptr_t sp, void *a, void *b), void *a, void *b);

#ifdef MACHINE_DEFINE
uint8_t machine_keys;
/* Names of the registers, in the order of machine_registers. */
static const char machine_saved_names[][4] = { "rbx", "rbp", "r12", "r13", "r14", "r15" }; /* as in machine_saved_registers */
static const char machine_names[][4] = { "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax",
	                                 "rcx", "rsp", "rip" };

/* Exactly these nine bytes: debuggers and unwinders know a signal frame by them. The byte before belongs to no function,
 * because unwinders look up the return address minus one. */
__asm__(".text\n\t.p2align 4\n\tnop\n\t"
	".globl machine_restorer\n\t.hidden machine_restorer\n\t.type machine_restorer,@function\n"
	"machine_restorer:\n\tmov $15, %rax\n\tsyscall\n\t"
	".size machine_restorer, .-machine_restorer\n");

/* Here the bytes are not the first, so unwinders are told: CFA and registers lie in the ucontext at rsp (DW_OP_breg7). */
#define AT(offset) "0x77, 0x80 | (" #offset " & 0x7f), " #offset " >> 7"
#define SAVED(reg, offset) ".cfi_escape 0x10, " #reg ", 3, " AT(offset) "\n\t"
__asm__(".text\n\t.p2align 4\n\t.cfi_startproc\n\t.cfi_signal_frame\n\t"
	".cfi_escape 0x0f, 4, " AT(160) ", 0x06\n\t"
	SAVED(8, 40) SAVED(9, 48) SAVED(10, 56) SAVED(11, 64) SAVED(12, 72) SAVED(13, 80)
	SAVED(14, 88) SAVED(15, 96) SAVED(5, 104) SAVED(4, 112) SAVED(6, 120) SAVED(3, 128)
	SAVED(1, 136) SAVED(0, 144) SAVED(2, 152) SAVED(7, 160) SAVED(16, 168)
	"nop\n\t.globl machine_counting_restorer\n\t.hidden machine_counting_restorer\n\t.type machine_counting_restorer,@function\n"
	"machine_counting_restorer:\n\t"
	"mov self@gottpoff(%rip), %rax\n\taddl $1, %fs:" SELF_HANDLED "(%rax)\n\t"
	"mov $15, %rax\n\tsyscall\n\t.cfi_endproc\n\t"
	".size machine_counting_restorer, .-machine_counting_restorer\n");
#undef AT
#undef SAVED

__asm__(".text\n\t.p2align 4\n\t"
	".globl machine_switch\n\t.hidden machine_switch\n\t.type machine_switch,@function\n"
	"machine_switch:\n\t.cfi_startproc\n\t"
	"push %rbp\n\t.cfi_def_cfa_offset 16\n\t.cfi_offset %rbp, -16\n\t"
	"mov %rsp, %rbp\n\t.cfi_def_cfa_register %rbp\n\t"
	"push %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"push %rbp\n\t"               /* the caller's rbp is at 0(%rbp); this keeps the frame's own address among the words */
	"mov %rdi, %r8\n\tmov %rsi, %rax\n\t"
	"mov %rsp, %rdi\n\tmov %rdx, %rsi\n\tmov %rcx, %rdx\n\t"
	"mov %r8, %rsp\n\tand $-16, %rsp\n\t"
	"call *%rax\n\t"
	"lea -40(%rbp), %rsp\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\t"
	".cfi_def_cfa %rsp, 8\n\tret\n\t.cfi_endproc\n\t"
	".size machine_switch, .-machine_switch\n");
#endif

#endif
