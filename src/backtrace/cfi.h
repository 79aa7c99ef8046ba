/*
 * Call-frame information as compilers write it (.eh_frame_hdr, .eh_frame: DWARF 5, 6.4; Linux Standard Base, 10.6): from an address to
 * the row that says how its frame is undone. Reads memory only inside the image it is given, allocates nothing, calls nothing.
 */
#ifndef CGC_BACKTRACE_CFI_H
#define CGC_BACKTRACE_CFI_H

#include "backtrace/machine.h"

enum { CFI_RA = MACHINE_SAVED, CFI_SLOTS, CFI_SP }; /* slots: preserved registers, return address; CFI_SP names the stack pointer */

/* Where a register's value of the caller is. One word, because rows stand on the stack of whoever calls malloc, and that may be a coroutine's. */
struct cfi_where {
	enum cfi_how {
		CFI_SAME,              /* still in the register */
		CFI_UNDEFINED,         /* of the return address: there is no caller */
		CFI_AT_CFA,            /* in memory at CFA + n */
		CFI_IS_CFA,            /* its value is CFA + n */
		CFI_IN_REGISTER,       /* in the register of slot n */
		CFI_AT_EXPRESSION,     /* in memory at what the expression at address n gives */
		CFI_IS_EXPRESSION,
		CFI_UNKNOWN            /* in a register that is not followed: the frame can't be undone */
	} how : 8;
	intptr_t n : 56;
};

struct cfi_row {
	struct cfi_where saved[CFI_SLOTS];
	/* CFA: register of slot cfa_slot (CFI_SP too) + cfa.n, how CFI_AT_CFA; or CFI_IS_EXPRESSION; or CFI_UNKNOWN */
	struct cfi_where cfa;
	unsigned cfa_slot;
	uintptr_t record;              /* where it was read, the FDE */
	bool signal;                   /* the frame of a signal handler's return: the caller was interrupted at its pc */
};

/* What may be read: a module, as mapped. */
struct cfi_image {
	uintptr_t low, high;
	uintptr_t header;              /* .eh_frame_hdr */
	size_t header_size;
};

/* The row that holds at the instruction `at`. false: no rules for it, or damaged ones. */
bool cfi_find(const struct cfi_image *m, uintptr_t at, struct cfi_row *row);

/* What an expression sees. `load` may refuse. */
struct cfi_scene {
	const struct cfi_image *image;
	const uintptr_t *saved;        /* [MACHINE_SAVED] */
	uintptr_t sp, pc;
	bool (*load)(void *data, uintptr_t at, uintptr_t *word);
	void *data;
};
/* Evaluates the expression (its length first) at address `at`, with `initial` on the stack if has_initial. */
bool cfi_evaluate(const struct cfi_scene *s, uintptr_t at, bool has_initial, uintptr_t initial, uintptr_t *result);

/* Is the expression `register + offset`, or what lies in memory there? slot: CFI_SP too. */
bool cfi_simple(const struct cfi_image *m, uintptr_t at, unsigned *slot, intptr_t *offset, bool *loaded);

#endif
