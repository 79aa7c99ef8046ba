/* A rule as rules.c reads it, reduced to what known.h says: frames that count from the stack or frame pointer, without more. */
#include "backtrace/known.h"

/* A handler may leave for good between any two stores: the entry is empty meanwhile. */
static void put(struct known *k, struct known from)
{
	k->pc = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	k->cfa = from.cfa;
	k->fp = from.fp;
	k->ra = from.ra;
	k->flags = from.flags;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	k->pc = from.pc;
}

static struct known read_rule(struct walk *w, uintptr_t pc)
{
	struct rule r;
	walk_rule(w, pc - 1, &r);
	/* NOLINTNEXTLINE(bugprone-signed-char-misuse): offsets, no characters */
	int fp = r.saved[MACHINE_FP], ra = MACHINE_LINK < 0 ? -1 : r.saved[MACHINE_LINK < 0 ? 0 : MACHINE_LINK], low;
	struct known k = { .cfa = r.cfa, .flags = r.base == MACHINE_FP ? KNOWN_BY_FP : 0 };
	k.flags |= fp != RULE_SAME ? KNOWN_SAVES_FP : 0;
	fp = fp != RULE_SAME ? fp : ra;
	low = fp < ra ? fp : ra;
	k.fp = (int8_t)fp;
	k.ra = (int8_t)ra;
	if (r.flags & RULE_OUTERMOST)
		k.flags = KNOWN_OUTERMOST;
	else if (r.flags & RULE_NONE)
		k.flags = KNOWN_NO_RULE;
	else if (r.flags & ~RULE_CALLED || (r.base != RULE_SP && r.base != MACHINE_FP) || k.fp != fp || k.ra != ra || ra == RULE_SAME
	         || (r.base == RULE_SP && r.cfa + low * 8 < 0))
		k.flags = KNOWN_ODD;
	if (r.flags & RULE_CALLED || !(r.flags & RULE_NONE)) /* rules.c doesn't keep the others either */
		k.pc = pc;
	return k;
}

void known_take(struct known *k, const struct known *elder, struct walk *w, uintptr_t pc)
{
	static const uint32_t masks[] = { KNOWN - 1, KNOWN_FEW - 1 };
	for (unsigned i = 0; elder && i < NELEM(masks); i++) {
		const struct known *e = known_place((struct known *)elder, masks[i], pc);
		if (e->pc == pc) {
			put(k, *e);
			return;
		}
	}
	put(k, read_rule(w, pc));
}
