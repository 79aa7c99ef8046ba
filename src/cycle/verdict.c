/*
 * Verdict.
 *
 * The judge saw, inside the stop, which slots were allocated or condemned and not marked. Since then the program ran on: slots
 * may have been freed, handed out again, even their span may be gone. Each verdict is therefore one CAS on the state byte:
 *
 *   allocated, older stamp   ──▶ condemned with the current stamp
 *   condemned, `grace` cycles old ──▶ recycled
 *
 * It cannot hit a block that came after the stop: refill writes the current stamp, the stamp advances only inside a stop, and
 * the next stop waits for the collect lock, which this thread holds. A byte with an older stamp is thus the byte the judge
 * saw. It may lose to the owner's plain store of 0: then the block is free, which is all the better.
 */
#include "cycle/verdict.h"
#include "cycle/explain.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "base/fault.h"
#include "base/options.h"

/* Completed cycles since a slot was condemned: stamps run 1..63. */
static unsigned age(uint8_t byte)
{
	return (unsigned)(arena.stamp - (byte & STATE_STAMP) + STATE_STAMP) % STATE_STAMP;
}

static void judge(const struct dead_span *d, uint32_t slot, struct verdict *v)
{
	uint8_t *state = &d->state[slot];
	uint8_t seen = load_relaxed(state);
	struct explain_block block = explain_block(d, slot);
	if (state_is_allocated(seen) && heap_condemn(state)) {
		explain_note(block, EXPLAIN_CONDEMNED);
		v->condemned_blocks++;
		v->condemned_bytes += d->block;
		seen = load_relaxed(state);
	}
	if (!state_is_condemned(seen) || age(seen) < options.grace || (options.mode != MODE_COLLECT && !fault(FAULT_law9_audit_recycles)))
		return;
	uint32_t site = sites_on() ? sites_of(d->span, slot) : 0; /* before it is somebody else's. It holds if the block is still condemned below */
	if (!sites_immortal(site) && heap_recycle(d->span, slot, state, options.stress || options.harden)) {
		explain_note(block, EXPLAIN_RECYCLED);
		v->recycled_blocks++;
		v->recycled_bytes += d->block;
		sites_recycled(site, d->block);
	}
}

void verdict_apply(const struct dead_set *set, struct verdict *v)
{
	size_t at = 0;
	for (const struct dead_span *d; (d = dead_next(set, &at));)
		for (uint32_t word = 0; word < (d->slots + 63) / 64; word++)
			for (uint64_t bits = d->bits[word]; bits; bits &= bits - 1) {
				v->dead_blocks++;
				v->dead_bytes += d->block;
				judge(d, word * 64 + (uint32_t)__builtin_ctzll(bits), v);
			}
}
