/*
 * What unwinding needs of x86-64: which registers a call preserves, how the running code's are read, and the two shapes that have no
 * call-frame rules of their own: a frame kept by rbp, and a signal frame whose restorer nobody described. Another machine needs a file
 * with the same names.
 */
#ifndef CGC_BACKTRACE_MACHINE_X86_64_H
#define CGC_BACKTRACE_MACHINE_X86_64_H

#include "backtrace/backtrace.h"

#include <string.h>

enum {
	MACHINE_SAVED = 6,       /* rbx rbp r12 r13 r14 r15: slots 0..5 */
	MACHINE_FP = 1,          /* slot of rbp */
	MACHINE_LINK = -1,       /* slot of a link register: there is none, the return address is always in memory */
	MACHINE_SP_NUMBER = 7,   /* DWARF numbers */
	MACHINE_RA_NUMBER = 16,
	MACHINE_NEAREST = INT8_MIN
};
/* Where a register is saved, in words from CFA: pushes stand right below it. */
typedef int8_t machine_offset;

/* Slot of a DWARF register; -1: not followed. */
static inline int machine_slot(unsigned number)
{
	switch (number) {
	case 3: return 0;
	case 6: return 1;
	case 12: case 13: case 14: case 15: return (int)number - 10;
	default: return -1;
	}
}
static inline unsigned machine_number(unsigned slot) { return slot == 0 ? 3 : slot == 1 ? 6 : slot + 10; }

/* pc, sp and the preserved registers as they are at one instruction of the function that this is inlined into. */
static inline __attribute__((always_inline)) void machine_here(uintptr_t *pc, uintptr_t *sp, uintptr_t *saved)
{
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\t"
	                 "mov %%rbx, 0(%2)\n\tmov %%rbp, 8(%2)\n\tmov %%r12, 16(%2)\n\t"
	                 "mov %%r13, 24(%2)\n\tmov %%r14, 32(%2)\n\tmov %%r15, 40(%2)"
	                 : "=&r"(*pc), "=&r"(*sp) : "r"(saved) : "memory");
}

/* Stack and frame pointer there. */
static inline __attribute__((always_inline)) void machine_place(uintptr_t *sp, uintptr_t *fp)
{
	__asm__ volatile("mov %%rsp, %0\n\tmov %%rbp, %1" : "=&r"(*sp), "=r"(*fp));
}

static inline uintptr_t machine_strip(uintptr_t pc) { return pc; }

/* Does an instruction that calls end at `pc`? Needs MACHINE_CALL readable bytes before it. */
enum { MACHINE_CALL = 8 };
static inline bool machine_after_call(const uint8_t *pc)
{
	if (pc[-5] == 0xe8)
		return true;
	for (int n = 2; n <= 7; n++) { /* ff /2 with every form of operand; prefixes stand before */
		uint8_t form = pc[1 - n];
		if (pc[-n] != 0xff || (form & 0x38) != 0x10)
			continue;
		unsigned mod = form >> 6, rm = form & 7;
		int size = 2 + (mod != 3 && rm == 4) + (mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 5) ? 4 : 0);
		if (size == n || (mod == 0 && rm == 4 && n == 7)) /* a SIB byte without base has 4 bytes behind it */
			return true;
	}
	return false;
}

/* mov $15, %rax; syscall: the restorer that sigaction's callers give the kernel. */
enum { MACHINE_RESTORER = 9 };
static inline bool machine_is_restorer(const uint8_t *pc)
{
	return !memcmp(pc, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", MACHINE_RESTORER);
}
/* Where the interrupted registers lie, from sp at that instruction (kernel: struct ucontext, unchanged since 2.6). */
static inline int machine_signal_saved(unsigned slot)
{
	static const uint8_t at[MACHINE_SAVED] = { 128, 120, 72, 80, 88, 96 };
	return at[slot];
}
enum { MACHINE_SIGNAL_SP = 160, MACHINE_SIGNAL_PC = 168 };

#endif
