/* watch=ADDR: what becomes of one block. Its state byte is read before each stop and after each verdict, and a change is told. */
#include "cycle/cycle_parts.h"
#include "heap/heap.h"
#include "base/options.h"
#include "base/text.h"

static const char *state_name(uint8_t b)
{
	return b == STATE_ALTERED ? "altered" : state_is_allocated(b) ? "allocated" : state_is_condemned(b) ? "condemned" : b == STATE_FREE ? "free" : "recycled";
}

void cycle_watch(const char *when)
{
	static uint8_t last;
	struct block_info info;
	if (!options.watch)
		return;
	if (heap_find(options.watch, &info) == FOUND_NOTHING)
		info.state = 0;
	if (info.state != last)
		say("watch %p: %s -> %s (0x%x -> 0x%x) %s, cycle %lu", (void *)options.watch, state_name(last), state_name(info.state), last,
		    info.state, when, stats.cycles);
	last = info.state;
}
