/* The way through our own frames, walked by the rules as any other, and noted for own.h if each frame is as that needs it. */
#include "backtrace/own.h"
#include "backtrace/capture.h"

BARE const struct own_path *own_way(const struct own_paths *t, uint32_t generation, uintptr_t high, uintptr_t sp, const void *caller)
{
	for (uint32_t i = 0; i < OWN_PATHS; i++)
		if (own_fits(&t->at[i], generation, high, sp, caller))
			return &t->at[i];
	return NULL;
}

BARE bool own_walk(struct own_paths *t, struct walk *w, struct frame *f, uintptr_t sp, const void *caller, const struct own_path **way)
{
	struct own_path p = { .generation = w->generation };
	bool usual = true;
	for (unsigned i = 0; i < OWN_FRAMES; i++) {
		struct rule r;
		walk_rule(w, f->pc - 1 + f->exact, &r);
		uintptr_t cfa = f->reg[RULE_SP] + (uintptr_t)(intptr_t)r.cfa;
		int ra = MACHINE_LINK < 0 ? -1 : r.saved[MACHINE_LINK < 0 ? 0 : MACHINE_LINK];
		usual = usual && !(r.flags & ~RULE_CALLED) && r.base == RULE_SP && ra != RULE_SAME && p.frames < OWN_PATH_FRAMES;
		if (walk_step(w, f) != STEP_ON)
			return false;
		/* What was saved below sp was saved later: backtrace_here had it in the register. */
		uintptr_t ra_at = cfa + (uintptr_t)((intptr_t)ra * 8), fp_at = cfa + (uintptr_t)((intptr_t)r.saved[MACHINE_FP] * 8);
		if (usual && r.saved[MACHINE_FP] != RULE_SAME && fp_at >= sp)
			p.fp = (uint32_t)(fp_at - sp);
		if (usual && ra_at >= sp) {
			p.at[p.frames] = (uint32_t)(ra_at - sp);
			p.pc[p.frames++] = f->pc;
		}
		if (f->pc != (uintptr_t)caller)
			continue;
		p.cfa = (uint32_t)(f->reg[RULE_SP] - sp);
		if (usual && p.frames) {
			struct own_path *to = &t->at[t->last = (t->last + 1) % OWN_PATHS];
			uint32_t frames = p.frames;
			p.frames = to->frames = 0;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			*to = p;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			to->frames = frames;
			*way = to;
		}
		return true;
	}
	return false;
}
