/*
 * State bytes apart: a look in a child of fork marks copies of all state bytes, side by side in a mapping of its own, which is dropped afterwards.
 *
 *   span.state ─▶ its box, pages shared with the parent          before and after
 *              ─▶ [copy of one span | of the next | ...]         in between
 *
 * Marks would be written to a page for each size class, and each is copied by a page fault of its own, for a process that ends next.
 * Inside a stop: nobody else reads a span's `state` meanwhile, and whoever holds an address of a byte of it, a slot's key above all, holds that of the box.
 */
#include "mark/inside.h"
#include "os/os.h"

#include <string.h>

static uint8_t *copies;
static size_t copies_bytes;

bool mark_apart(void)
{
	const uint32_t spans = span_count();
	size_t bytes = 0, at = 0;
	for (uint32_t i = 0; i < spans; i++)
		bytes += span_holds_blocks(&arena.spans[i]) ? align_up(arena.spans[i].slots, 8) : 0;
	copies_bytes = align_up(bytes + 1, OS_PAGE);
	if (!(copies = os_map(copies_bytes)))
		return false;
	os_fill((uintptr_t)copies, copies_bytes, true);
	for (uint32_t i = 0; i < spans; i++) {
		struct span *s = &arena.spans[i];
		if (!span_holds_blocks(s))
			continue;
		memcpy(copies + at, s->state, s->slots);
		s->state = copies + at;
		at += align_up(s->slots, 8);
	}
	return true;
}

void apart_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	if (copies)
		fn((uintptr_t)copies, (uintptr_t)copies + copies_bytes);
}

void mark_together(void)
{
	const uint32_t spans = span_count();
	for (uint32_t i = 0; i < spans; i++) {
		struct span *s = &arena.spans[i];
		if (span_holds_blocks(s))
			s->state = s->kind == SPAN_LARGE ? &s->byte : span_state_bytes(s);
	}
	os_unmap(copies, copies_bytes);
	copies = NULL;
}
