/* Windows of address space. Inside src/heap only; each window is guarded by the lock of whoever owns it. */
#ifndef CGC_HEAP_WINDOW_H
#define CGC_HEAP_WINDOW_H

#include "base/bits.h"

struct window {
	uintptr_t base;
	size_t mapped, max;
	bool guarded; /* [base + mapped, one page more) is ours, without access */
	bool torn; /* forked while somebody extended it: the next step may be mapped already, and unused */
};

/* Names a window's place; nothing is mapped yet. false: no address space. */
bool window_place(struct window *w, uintptr_t base, size_t max);
/* Maps [mapped, mapped + size) without counting it. 0, -EEXIST (somebody else's) or -ENOMEM. */
int window_extend(struct window *w, size_t size);
/* Makes at least `need` bytes of a flat window accessible, by multiples of `step` if that can be had. */
bool window_cover(struct window *w, size_t need, size_t step);

#endif
