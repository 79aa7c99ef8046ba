/*
 * .eh_frame_hdr and .eh_frame, any bytes: the row of any address is found or refused in bounded time, reading nothing outside (the image
 * is a block of its own size), the same twice, and an expression of it ends. Input: where the header stands, which address is asked for,
 * then the image. Addresses in images are mostly relative, so seeds hold at every place.
 */
#include "backtrace/cfi.h"
#include "fuzz.h"

static bool load(void *data, uintptr_t at, uintptr_t *word)
{
	unsigned *left = data;
	*word = at * 2654435761u;
	return (*left)-- > 0;
}

static void evaluate(const struct cfi_image *m, const struct cfi_where *w)
{
	if (w->how != CFI_AT_EXPRESSION && w->how != CFI_IS_EXPRESSION)
		return;
	uintptr_t saved[MACHINE_SAVED] = { 1, 2, 3 }, first = 0, second = 0;
	unsigned left[2] = { 50, 50 }, slot;
	intptr_t offset;
	bool loaded;
	struct cfi_scene s = { m, saved, 1000, 2000, load, &left[0] };
	bool has = cfi_evaluate(&s, (uintptr_t)w->n, true, 5, &first);
	s.data = &left[1];
	claim(has == cfi_evaluate(&s, (uintptr_t)w->n, true, 5, &second) && first == second, "two values of one expression");
	if (cfi_simple(m, (uintptr_t)w->n, &slot, &offset, &loaded)) {
		claim(slot < MACHINE_SAVED || slot == CFI_SP, "slot %u", slot);
		uintptr_t value = (slot == CFI_SP ? s.sp : saved[slot]) + (uintptr_t)offset;
		unsigned one = 50;
		if (loaded)
			load(&one, value, &value);
		claim(has && first == value, "what is simple has another value");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = { bytes, bytes + n };
	size_t header = take_short(&in), address = take_short(&in), size = (size_t)(in.end - in.p);
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, in.p, size);
	uintptr_t low = (uintptr_t)copy;
	struct cfi_image m = { low, low + size, low + header, header < size ? size - header : 0 };
	struct cfi_row first, second;
	memset(&first, 0, sizeof first);
	memset(&second, 0, sizeof second);
	bool found = cfi_find(&m, low + address, &first);
	claim(found == cfi_find(&m, low + address, &second) && !memcmp(&first, &second, sizeof first), "two rows of one address");
	if (found) {
		for (unsigned i = 0; i < CFI_SLOTS; i++)
			evaluate(&m, &first.saved[i]);
		evaluate(&m, &first.cfa);
	}
	free(copy);
	return 0;
}
