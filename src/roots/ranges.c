/* Sets of address ranges in own mappings: added in any order, sorted once, then looked up by halving. */
#include "roots/inside.h"
#include "base/sort.h"
#include "os/os.h"

enum { FIRST_ROOM = 256 };

void ranges_clear(struct ranges *r)
{
	r->count = 0;
	r->failed = false;
}

static bool enlarge(struct ranges *r)
{
	size_t old = r->room * sizeof *r->at, bytes = old ? 2 * old : FIRST_ROOM * sizeof *r->at;
	void *at = old ? os_remap(r->at, old, bytes) : os_map(bytes);
	if (!at)
		return false;
	r->at = at;
	r->room = bytes / sizeof *r->at;
	return true;
}

void ranges_reserve(struct ranges *r)
{
	if (!r->room)
		enlarge(r); /* if not, ranges_add tries again */
}

void ranges_add(struct ranges *r, uintptr_t low, uintptr_t high)
{
	if (low >= high)
		return;
	if (r->count == r->room && !enlarge(r)) {
		r->failed = true;
		return;
	}
	r->at[r->count++] = (struct range){ low, high };
}

static bool before(const void *a, const void *b, const void *unused)
{
	return ((const struct range *)a)->low < ((const struct range *)b)->low;
}

void ranges_sort(struct ranges *r)
{
	struct range moving;
	if (!r->count)
		return;
	sort_by(r->at, r->count, sizeof moving, before, NULL, &moving);
	size_t kept = 0;
	for (size_t i = 1; i < r->count; i++) {
		if (r->at[i].low > r->at[kept].high)
			r->at[++kept] = r->at[i];
		else if (r->at[i].high > r->at[kept].high)
			r->at[kept].high = r->at[i].high;
	}
	r->count = kept + 1;
}

size_t ranges_first_above(const struct ranges *r, uintptr_t address)
{
	size_t low = 0, high = r->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (r->at[mid].high <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
