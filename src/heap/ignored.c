/*
 * Blocks that are no leaks (LeakSanitizer's interface): those that a thread allocates while self.ignoring, and those told one by one. They are
 * roots of reports: nothing else need be known of them, and what they reach is no leak either.
 *
 * The bit stands in the side table of sites, where each block has an entry as soon as it is recorded. All tables are looked through in a
 * stop, four bytes a slot, once any block has it.
 */
#include "heap/ignored.h"
#include "heap/heap.h"
#include "heap/sites.h"

bool ignored_any;

/* NULL: nothing is recorded there. */
static uint32_t *entry_of(struct span *s, uint32_t slot)
{
	if (s->kind == SPAN_LARGE)
		return &s->site;
	uint32_t *table = load_acquire(&s->sites);
	return table && slot < load_relaxed(&s->slots) ? sites_word(s, table, slot) : NULL;
}

bool ignored_add(uintptr_t address)
{
	struct block_info info;
	bool done = false;
	busy_enter(); /* no stop between the two stores */
	if (heap_find(address, &info) == FOUND_BLOCK) {
		uint32_t *entry = entry_of(info.span, info.slot);
		if (entry) {
			__atomic_fetch_or(entry, IGNORED_BIT, __ATOMIC_RELAXED);
			store_relaxed(&ignored_any, true);
			done = true;
		}
	}
	busy_leave();
	return done;
}

size_t ignored_each(void (*fn)(uintptr_t word))
{
	size_t words = 0;
	if (!load_relaxed(&ignored_any))
		return 0;
	for (uint32_t i = SPAN_FIRST, n = span_count(); i < n; i++) {
		struct span *s = &arena.spans[i];
		for (uint32_t slot = 0; span_holds_blocks(s) && slot < s->slots; slot++) {
			const uint32_t *entry = entry_of(s, slot);
			if (!entry)
				break;
			if (load_relaxed(entry) & IGNORED_BIT && state_is_block(load_relaxed(&s->state[slot]))) {
				fn(span_address(s, slot));
				words++;
			}
		}
	}
	return words;
}
