/* A cursor over an image's bytes: reading past the end gives 0 and sets `bad`, so callers ask once at the end. For cfi.c and expression.c. */
#ifndef CGC_BACKTRACE_CFI_READ_H
#define CGC_BACKTRACE_CFI_READ_H

#include "backtrace/cfi.h"

struct cursor {
	uintptr_t at, end;
	bool bad;
};

static inline struct cursor cursor_at(const struct cfi_image *m, uintptr_t at, uintptr_t end)
{
	bool inside = at >= m->low && at <= end && end <= m->high;
	return (struct cursor){ inside ? at : 0, inside ? end : 0, !inside };
}

static inline __attribute__((always_inline)) bool cursor_take(struct cursor *c, void *to, size_t n)
{
	if (c->end - c->at < n) {
		c->bad = true;
		c->at = c->end;
		memset(to, 0, n);
		return false;
	}
	memcpy(to, (const void *)c->at, n);
	c->at += n;
	return true;
}

static inline uint8_t read_u8(struct cursor *c) { uint8_t v; cursor_take(c, &v, 1); return v; }
static inline uint16_t read_u16(struct cursor *c) { uint16_t v; cursor_take(c, &v, 2); return v; }
static inline uint32_t read_u32(struct cursor *c) { uint32_t v; cursor_take(c, &v, 4); return v; }
static inline uint64_t read_u64(struct cursor *c) { uint64_t v; cursor_take(c, &v, 8); return v; }

static inline uint64_t read_leb(struct cursor *c, bool is_signed)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;
	do {
		b = read_u8(c);
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80 && !c->bad);
	if (is_signed && shift < 64 && b & 0x40)
		v |= ~0ull << shift;
	return v;
}
static inline uint64_t read_uleb(struct cursor *c) { return read_leb(c, false); }
static inline int64_t read_sleb(struct cursor *c) { return (int64_t)read_leb(c, true); }
static inline void cursor_skip(struct cursor *c, uint64_t n)
{
	if (n > c->end - c->at) {
		c->bad = true;
		c->at = c->end;
	} else {
		c->at += n;
	}
}

#endif
