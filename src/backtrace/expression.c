/*
 * DWARF expressions in call-frame rules (DWARF 5, 2.5.1): a stack machine over the registers of one frame. They describe PLT stubs,
 * frames whose stack was realigned, and signal frames; nearly all are `register + offset` or the word there, which cfi_simple
 * recognises so that the rule needs no evaluation at run time.
 *
 * Must hold: any bytes end within STEPS operations, and read memory only in the image or through the scene's load.
 */
#include "backtrace/cfi_read.h"

enum { DEPTH = 16, STEPS = 1000 };

enum op {
	OP_addr = 0x03, OP_deref = 0x06, OP_const1u = 0x08, OP_const1s, OP_const2u, OP_const2s, OP_const4u, OP_const4s, OP_const8u,
	OP_const8s, OP_constu, OP_consts, OP_dup, OP_drop, OP_over, OP_pick, OP_swap, OP_rot, OP_abs = 0x19, OP_and, OP_div, OP_minus,
	OP_mod, OP_mul, OP_neg, OP_not, OP_or, OP_plus, OP_plus_uconst, OP_shl, OP_shr, OP_shra, OP_xor, OP_bra, OP_eq, OP_ge, OP_gt,
	OP_le, OP_lt, OP_ne, OP_skip, OP_lit0 = 0x30, OP_reg0 = 0x50, OP_breg0 = 0x70, OP_regx = 0x90, OP_bregx = 0x92,
	OP_deref_size = 0x94, OP_nop = 0x96
};

struct machine {
	const struct cfi_scene *scene;
	struct cursor code;
	uintptr_t first;               /* start of the code, for jumps */
	uintptr_t stack[DEPTH];
	unsigned depth;
	bool failed;
};

static void push(struct machine *m, uintptr_t v)
{
	if (m->depth < DEPTH)
		m->stack[m->depth++] = v;
	else
		m->failed = true;
}

static uintptr_t pop(struct machine *m)
{
	if (!m->depth) {
		m->failed = true;
		return 0;
	}
	return m->stack[--m->depth];
}

static uintptr_t register_of(struct machine *m, uint64_t number)
{
	int slot = number < 64 ? machine_slot((unsigned)number) : -1;
	if (slot >= 0)
		return m->scene->saved[slot];
	if (number == MACHINE_SP_NUMBER)
		return m->scene->sp;
	if (number == MACHINE_RA_NUMBER)
		return m->scene->pc;
	m->failed = true;
	return 0;
}

static void jump(struct machine *m, int16_t distance)
{
	uintptr_t to = m->code.at + (uintptr_t)(intptr_t)distance;
	if (to - m->first > m->code.end - m->first)
		m->failed = true;
	else
		m->code.at = to;
}

/* Two operands, one result. false: not one of these. */
static bool binary(struct machine *m, unsigned op)
{
	static const bool two[256] = { [OP_and] = 1, [OP_div] = 1, [OP_minus] = 1, [OP_mod] = 1, [OP_mul] = 1, [OP_or] = 1, [OP_plus] = 1,
		[OP_shl] = 1, [OP_shr] = 1, [OP_shra] = 1, [OP_xor] = 1, [OP_eq] = 1, [OP_ge] = 1, [OP_gt] = 1, [OP_le] = 1, [OP_lt] = 1,
		[OP_ne] = 1 };
	if (!two[op])
		return false;
	uintptr_t b = pop(m), a = pop(m), r = 0;
	intptr_t sa = (intptr_t)a, sb = (intptr_t)b;
	switch (op) {
	case OP_and: r = a & b; break;
	case OP_or: r = a | b; break;
	case OP_xor: r = a ^ b; break;
	case OP_plus: r = a + b; break;
	case OP_minus: r = a - b; break;
	case OP_mul: r = a * b; break;
	case OP_div: m->failed |= !b || (sb == -1 && sa == INTPTR_MIN); r = m->failed ? 0 : (uintptr_t)(sa / sb); break;
	case OP_mod: m->failed |= !b; r = m->failed ? 0 : a % b; break;
	case OP_shl: r = b < 64 ? a << b : 0; break;
	case OP_shr: r = b < 64 ? a >> b : 0; break;
	case OP_shra: b = b < 63 ? b : 63, r = sa < 0 ? ~(~a >> b) : a >> b; break;
	case OP_eq: r = a == b; break;
	case OP_ne: r = a != b; break;
	case OP_ge: r = sa >= sb; break;
	case OP_gt: r = sa > sb; break;
	case OP_le: r = sa <= sb; break;
	case OP_lt: r = sa < sb; break;
	}
	push(m, r);
	return true;
}

/* A constant of the code. false: not one of these. */
static bool constant(struct machine *m, unsigned op)
{
	struct cursor *c = &m->code;
	switch (op) {
	case OP_addr: case OP_const8u: case OP_const8s: push(m, read_u64(c)); return true;
	case OP_const1u: push(m, read_u8(c)); return true;
	case OP_const1s: push(m, (uintptr_t)(intptr_t)(int8_t)read_u8(c)); return true;
	case OP_const2u: push(m, read_u16(c)); return true;
	case OP_const2s: push(m, (uintptr_t)(intptr_t)(int16_t)read_u16(c)); return true;
	case OP_const4u: push(m, read_u32(c)); return true;
	case OP_const4s: push(m, (uintptr_t)(intptr_t)(int32_t)read_u32(c)); return true;
	case OP_constu: push(m, read_uleb(c)); return true;
	case OP_consts: push(m, (uintptr_t)read_sleb(c)); return true;
	}
	if (op - OP_lit0 < 32)
		push(m, op - OP_lit0);
	else if (op - OP_reg0 < 32)
		push(m, register_of(m, op - OP_reg0));
	else if (op - OP_breg0 < 32)
		push(m, register_of(m, op - OP_breg0) + (uintptr_t)read_sleb(c));
	else if (op == OP_regx)
		push(m, register_of(m, read_uleb(c)));
	else if (op == OP_bregx) {
		uintptr_t base = register_of(m, read_uleb(c));
		push(m, base + (uintptr_t)read_sleb(c));
	} else
		return false;
	return true;
}

static void shuffle(struct machine *m, unsigned op)
{
	unsigned back = op == OP_dup ? 0 : op == OP_over ? 1 : op == OP_pick ? read_u8(&m->code) : 0;
	unsigned need = op == OP_swap ? 2 : op == OP_rot ? 3 : back + 1;
	if (need > m->depth) {
		m->failed = true;
		return;
	}
	uintptr_t *top = &m->stack[m->depth - 1], t = *top;
	if (op == OP_drop)
		m->depth--;
	else if (op == OP_swap)
		top[0] = top[-1], top[-1] = t;
	else if (op == OP_rot)
		top[0] = top[-1], top[-1] = top[-2], top[-2] = t;
	else
		push(m, top[-(int)back]);
}

static void other(struct machine *m, unsigned op)
{
	uintptr_t v = 0;
	switch (op) {
	case OP_dup: case OP_drop: case OP_over: case OP_pick: case OP_swap: case OP_rot: shuffle(m, op); return;
	case OP_nop: return;
	case OP_skip: jump(m, (int16_t)read_u16(&m->code)); return;
	case OP_bra: {
		int16_t distance = (int16_t)read_u16(&m->code);
		if (pop(m))
			jump(m, distance);
		return;
	}
	case OP_abs: v = pop(m); push(m, (intptr_t)v < 0 ? 0 - v : v); return;
	case OP_neg: push(m, 0 - pop(m)); return;
	case OP_not: push(m, ~pop(m)); return;
	case OP_plus_uconst: v = pop(m); push(m, v + read_uleb(&m->code)); return;
	case OP_deref:
		if (!m->scene->load || !m->scene->load(m->scene->data, pop(m), &v))
			m->failed = true;
		push(m, v);
		return;
	default: /* deref_size too: nothing that keeps registers in parts of words was ever seen */
		m->failed = true;
	}
}

bool cfi_evaluate(const struct cfi_scene *s, uintptr_t at, bool has_initial, uintptr_t initial, uintptr_t *result)
{
	struct cursor c = cursor_at(s->image, at, s->image->high);
	uint64_t size = read_uleb(&c);
	if (c.bad || size > c.end - c.at)
		return false;
	struct machine m = { .scene = s, .code = { c.at, c.at + size, false }, .first = c.at };
	if (has_initial)
		push(&m, initial);
	for (unsigned steps = 0; m.code.at < m.code.end; steps++) {
		unsigned op = read_u8(&m.code);
		if (!constant(&m, op) && !binary(&m, op))
			other(&m, op);
		if (m.failed || m.code.bad || steps == STEPS)
			return false;
	}
	*result = pop(&m);
	return !m.failed;
}

bool cfi_simple(const struct cfi_image *image, uintptr_t at, unsigned *slot, intptr_t *offset, bool *loaded)
{
	struct cursor c = cursor_at(image, at, image->high);
	uint64_t size = read_uleb(&c);
	if (c.bad || size > c.end - c.at || !size)
		return false;
	c.end = c.at + size;
	unsigned op = read_u8(&c);
	if (op - OP_breg0 >= 32)
		return false;
	int followed = machine_slot(op - OP_breg0);
	if (followed < 0 && op - OP_breg0 != MACHINE_SP_NUMBER)
		return false;
	*slot = followed < 0 ? CFI_SP : (unsigned)followed;
	*offset = (intptr_t)read_sleb(&c);
	*loaded = false;
	if (c.at < c.end) {
		*loaded = true;
		return read_u8(&c) == OP_deref && c.at == c.end && !c.bad;
	}
	return !c.bad;
}
