/*
 * What unwinding needs of aarch64, by the names of machine_x86_64.h. A call leaves its return address in x30; frames save it like any
 * preserved register, so x30 is a slot and a frame's return address is what that slot holds once the frame is undone.
 */
#ifndef CGC_BACKTRACE_MACHINE_AARCH64_H
#define CGC_BACKTRACE_MACHINE_AARCH64_H

#include "backtrace/backtrace.h"

#include <string.h>

enum {
	MACHINE_SAVED = 12,      /* x19..x30: slots 0..11 */
	MACHINE_FP = 10,         /* x29 */
	MACHINE_LINK = 11,       /* x30 */
	MACHINE_SP_NUMBER = 31,
	MACHINE_RA_NUMBER = 30,
	MACHINE_NEAREST = INT16_MIN
};
typedef int16_t machine_offset; /* registers are saved at the frame's lower end */

static inline int machine_slot(unsigned number) { return number >= 19 && number <= 30 ? (int)number - 19 : -1; }
static inline unsigned machine_number(unsigned slot) { return slot + 19; }

static inline __attribute__((always_inline)) void machine_here(uintptr_t *pc, uintptr_t *sp, uintptr_t *saved)
{
	__asm__ volatile("adr %0, .\n\tmov %1, sp\n\t"
	                 "stp x19, x20, [%2]\n\tstp x21, x22, [%2, #16]\n\tstp x23, x24, [%2, #32]\n\t"
	                 "stp x25, x26, [%2, #48]\n\tstp x27, x28, [%2, #64]\n\tstp x29, x30, [%2, #80]"
	                 : "=&r"(*pc), "=&r"(*sp) : "r"(saved) : "memory");
}

static inline __attribute__((always_inline)) void machine_place(uintptr_t *sp, uintptr_t *fp)
{
	__asm__ volatile("mov %0, sp\n\tmov %1, x29" : "=&r"(*sp), "=r"(*fp));
}

/* A return address may carry an authentication code; xpaclri takes it off, and does nothing where there is none (it is a hint). */
static inline uintptr_t machine_strip(uintptr_t pc)
{
	register uintptr_t x30 __asm__("x30") = pc;
	__asm__("hint #7" : "+r"(x30));
	return x30;
}

enum { MACHINE_CALL = 4 };
static inline bool machine_after_call(const uint8_t *pc)
{
	uint32_t code;
	memcpy(&code, pc - 4, 4);
	return (code & 0xfc000000u) == 0x94000000u          /* bl */
	       || (code & 0xfefff000u) == 0xd63f0000u       /* blr, blraa, blrab with and without a modifier */
	       || (code & 0xfffffc1fu) == 0xd63f0000u;
}

/* mov x8, #139; svc #0, in the vdso or libc, without call-frame rules (Linux 5.8 dropped them). */
enum { MACHINE_RESTORER = 8 };
static inline bool machine_is_restorer(const uint8_t *pc)
{
	return !memcmp(pc, "\x68\x11\x80\xd2\x01\0\0\xd4", MACHINE_RESTORER);
}
/* From sp: siginfo 128 bytes, ucontext with its mcontext at 176, x0 at 8 in that. */
static inline int machine_signal_saved(unsigned slot) { return 312 + 8 * (int)machine_number(slot); }
enum { MACHINE_SIGNAL_SP = 312 + 8 * 31, MACHINE_SIGNAL_PC = 312 + 8 * 32 };

#endif
