/*
 * From an address to its call-frame row.
 *
 *   .eh_frame_hdr   sorted table of (first address, FDE)      binary search; a linear one through .eh_frame where there is no table
 *   FDE             which CIE, [first, first + size), instructions
 *   CIE             alignment factors, return address column, how pointers are written, initial instructions
 *
 * The instructions of CIE, then FDE, are run up to `at`. Only registers that the machine's file names are followed.
 *
 * Must hold: any bytes end in bounded time, and nothing outside the image is read. Rows are exact or refused (false): an instruction
 * that is not known ends it.
 */
#include "backtrace/cfi_read.h"

enum { OMIT = 0xff, REMEMBERED = 2 /* compilers do not nest them, and rows stand on the stack of whoever calls malloc */ };

struct cie {
	uintptr_t instructions, end;
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra;
	uint8_t encoding;              /* of addresses in FDEs */
	bool has_size;                 /* 'z': FDEs carry the size of their augmentation */
	bool signal;
};

static size_t encoded_size(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case 0x02: case 0x0a: return 2;
	case 0x03: case 0x0b: return 4;
	case 0x00: case 0x04: case 0x08: case 0x0c: return 8;
	default: return 0; /* LEB128, or unknown */
	}
}

/* A pointer as DW_EH_PE_* writes it; data: base of datarel; function: of funcrel. */
static uintptr_t read_encoded(struct cursor *c, const struct cfi_image *m, uint8_t encoding, uintptr_t data, uintptr_t function)
{
	if ((encoding & 0x70) == 0x50)
		cursor_skip(c, align_up(c->at, sizeof(uintptr_t)) - c->at);
	uintptr_t place = c->at, v = 0;
	switch (encoding & 0x0f) {
	case 0x00: case 0x04: case 0x08: case 0x0c: v = read_u64(c); break;
	case 0x01: v = read_uleb(c); break;
	case 0x02: v = read_u16(c); break;
	case 0x03: v = read_u32(c); break;
	case 0x09: v = (uintptr_t)read_sleb(c); break;
	case 0x0a: v = (uintptr_t)(intptr_t)(int16_t)read_u16(c); break;
	case 0x0b: v = (uintptr_t)(intptr_t)(int32_t)read_u32(c); break;
	default: c->bad = true;
	}
	if (!v)
		return 0;
	switch (encoding & 0x70) {
	case 0x00: case 0x50: break;
	case 0x10: v += place; break;
	case 0x30: v += data; break;
	case 0x40: v += function; break;
	default: c->bad = true; /* textrel: of machines that are not ours */
	}
	if (encoding & 0x80) {
		struct cursor word = cursor_at(m, v, m->high);
		v = read_u64(&word);
		c->bad |= word.bad;
	}
	return v;
}

/* The body of the record at `at`: its cursor, with the position of its id field. false: the end, or damaged. */
static bool record(const struct cfi_image *m, uintptr_t at, struct cursor *body, bool *wide)
{
	struct cursor c = cursor_at(m, at, m->high);
	uint64_t size = read_u32(&c);
	*wide = size == 0xffffffffu;
	if (*wide)
		size = read_u64(&c);
	if (c.bad || !size || size > c.end - c.at)
		return false;
	c.end = c.at + size;
	*body = c;
	return true;
}

/* The augmentation's letters, each with its data in c. */
static bool augmentation(struct cursor *c, const struct cfi_image *m, uintptr_t letters, struct cie *cie)
{
	for (const char *l = (const char *)letters; *l; l++) { /* its end was seen by the caller */
		switch (*l) {
		case 'R': cie->encoding = read_u8(c); break;
		case 'L': read_u8(c); break;
		case 'P': {
			uint8_t encoding = read_u8(c);
			read_encoded(c, m, encoding & 0x7f, 0, 0);
			break;
		}
		case 'S': cie->signal = true; break;
		case 'B': case 'G': break; /* which key signs return addresses; tagged stack memory */
		default: return cie->has_size; /* the rest is skipped by its size */
		}
	}
	return true;
}

static bool read_cie(const struct cfi_image *m, uintptr_t at, struct cie *cie)
{
	struct cursor c;
	bool wide;
	if (!record(m, at, &c, &wide))
		return false;
	if ((wide ? read_u64(&c) : read_u32(&c)) != 0)
		return false;
	*cie = (struct cie){ .encoding = 0 };
	uint8_t version = read_u8(&c);
	uintptr_t letters = c.at;
	while (read_u8(&c) && !c.bad)
		;
	if (c.bad || (version != 1 && version != 3 && version != 4))
		return false;
	const char *text = (const char *)letters;
	if (text[0] == 'e' && text[1] == 'h') { /* gcc 2 */
		read_u64(&c);
		letters += 2;
	}
	if (version == 4) {
		uint8_t address_size = read_u8(&c), segment_size = read_u8(&c);
		if (address_size != sizeof(uintptr_t) || segment_size)
			return false;
	}
	cie->code_align = read_uleb(&c);
	cie->data_align = read_sleb(&c);
	cie->ra = version == 1 ? read_u8(&c) : read_uleb(&c);
	cie->has_size = *(const char *)letters == 'z';
	if (cie->has_size) {
		uint64_t size = read_uleb(&c);
		if (c.bad || size > c.end - c.at)
			return false;
		cie->instructions = c.at + size;
		letters++;
	}
	if (!augmentation(&c, m, letters, cie) || c.bad)
		return false;
	if (!cie->has_size)
		cie->instructions = c.at;
	cie->end = c.end;
	return cie->encoding != OMIT && cie->ra == MACHINE_RA_NUMBER;
}

struct fde {
	struct cie cie;
	uintptr_t record;
	uintptr_t first, size;         /* the addresses that it covers */
	uintptr_t instructions, end;
};

/* false: no FDE, or not one that covers `at`. *next: where the following record is, 0 at the end. */
static bool read_fde(const struct cfi_image *m, uintptr_t record_at, uintptr_t at, struct fde *f, uintptr_t *next)
{
	struct cursor c;
	bool wide;
	*next = 0;
	if (!record(m, record_at, &c, &wide))
		return false;
	*next = c.end;
	uintptr_t id_at = c.at, back = wide ? read_u64(&c) : read_u32(&c);
	if (!back || !read_cie(m, id_at - back, &f->cie))
		return false;
	f->record = record_at;
	f->first = read_encoded(&c, m, f->cie.encoding, m->header, 0);
	f->size = read_encoded(&c, m, f->cie.encoding & 0x0f, 0, 0);
	if (c.bad || at - f->first >= f->size)
		return false;
	if (f->cie.has_size)
		cursor_skip(&c, read_uleb(&c));
	f->instructions = c.at;
	f->end = c.end;
	return !c.bad;
}

/* .eh_frame record by record, for headers without a table. */
static bool search_linear(const struct cfi_image *m, uintptr_t from, uintptr_t at, struct fde *f)
{
	while (from)
		if (read_fde(m, from, at, f, &from))
			return true;
	return false;
}

static bool search(const struct cfi_image *m, uintptr_t at, struct fde *f)
{
	if (m->header_size > m->high - m->header)
		return false;
	struct cursor c = cursor_at(m, m->header, m->header + m->header_size);
	uint8_t version = read_u8(&c), frame_encoding = read_u8(&c), count_encoding = read_u8(&c), table_encoding = read_u8(&c);
	if (c.bad || version != 1 || frame_encoding == OMIT)
		return false;
	uintptr_t frames = read_encoded(&c, m, frame_encoding, m->header, 0);
	size_t part = encoded_size(table_encoding);
	if (count_encoding == OMIT || table_encoding == OMIT || !part || (table_encoding & 0x70) == 0x50)
		return !c.bad && search_linear(m, frames, at, f);
	uint64_t low = 0, high = read_encoded(&c, m, count_encoding, m->header, 0);
	if (c.bad || !high || high > (c.end - c.at) / (2 * part))
		return false;
	while (high - low > 1) { /* the last entry that begins at or before `at` */
		uint64_t middle = low + (high - low) / 2;
		struct cursor entry = { c.at + middle * 2 * part, c.end, false };
		if (read_encoded(&entry, m, table_encoding, m->header, 0) <= at)
			low = middle;
		else
			high = middle;
	}
	struct cursor entry = { c.at + low * 2 * part, c.end, false };
	read_encoded(&entry, m, table_encoding, m->header, 0);
	uintptr_t record_at = read_encoded(&entry, m, table_encoding, m->header, 0), next;
	return !entry.bad && read_fde(m, record_at, at, f, &next);
}

/* ---- the instructions ---- */

struct run {
	const struct cie *cie;
	struct cfi_row row;
	struct cfi_row initial;        /* what the CIE's instructions left: DW_CFA_restore */
	struct cfi_row remembered[REMEMBERED];
	unsigned depth;
	uintptr_t location;
};

static struct cfi_where *saved(struct run *r, uint64_t number)
{
	static const int return_slot = MACHINE_LINK >= 0 ? MACHINE_LINK : CFI_RA;
	int slot = number == r->cie->ra ? return_slot : number < 64 ? machine_slot((unsigned)number) : -1;
	return slot < 0 ? NULL : &r->row.saved[slot];
}

static void set(struct run *r, uint64_t number, enum cfi_how how, intptr_t n)
{
	struct cfi_where *w = saved(r, number);
	if (w)
		*w = (struct cfi_where){ how, n };
}

static void set_register(struct run *r, uint64_t number, uint64_t from)
{
	int slot = from < 64 ? machine_slot((unsigned)from) : -1;
	if (from == number)
		set(r, number, CFI_SAME, 0);
	else
		set(r, number, slot < 0 ? CFI_UNKNOWN : CFI_IN_REGISTER, slot);
}

static void restore(struct run *r, uint64_t number)
{
	struct cfi_where *w = saved(r, number);
	if (w)
		*w = r->initial.saved[w - r->row.saved];
}

static void set_cfa(struct run *r, uint64_t number, intptr_t offset)
{
	int slot = number == MACHINE_SP_NUMBER ? CFI_SP : number < 64 ? machine_slot((unsigned)number) : -1;
	r->row.cfa_slot = slot < 0 ? CFI_SP : (unsigned)slot;
	r->row.cfa = (struct cfi_where){ slot < 0 ? CFI_UNKNOWN : CFI_AT_CFA, offset };
}

/* Offsets are multiples of a factor. Damaged ones may wrap around. */
static intptr_t scaled(uint64_t n, int64_t factor) { return (intptr_t)(n * (uint64_t)factor); }

static uintptr_t block(struct cursor *c)
{
	uintptr_t at = c->at;
	cursor_skip(c, read_uleb(c));
	return at;
}

/* The instructions whose operands are all in line. false: not one of these. */
static bool basic(struct run *r, struct cursor *c, uint8_t op)
{
	int64_t factor = r->cie->data_align;
	uint64_t reg;
	switch (op) {
	case 0x00: return true; /* nop */
	case 0x05: reg = read_uleb(c); set(r, reg, CFI_AT_CFA, scaled(read_uleb(c), factor)); return true; /* offset_extended */
	case 0x06: restore(r, read_uleb(c)); return true; /* restore_extended */
	case 0x07: set(r, read_uleb(c), CFI_UNDEFINED, 0); return true;
	case 0x08: set(r, read_uleb(c), CFI_SAME, 0); return true;
	case 0x09: reg = read_uleb(c); set_register(r, reg, read_uleb(c)); return true;
	case 0x0c: reg = read_uleb(c); set_cfa(r, reg, (intptr_t)read_uleb(c)); return true; /* def_cfa */
	case 0x0d: { /* def_cfa_register */
		intptr_t offset = r->row.cfa.n;
		set_cfa(r, read_uleb(c), offset);
		return true;
	}
	case 0x0e: r->row.cfa.n = (intptr_t)read_uleb(c); return true; /* def_cfa_offset */
	case 0x0f: r->row.cfa = (struct cfi_where){ CFI_IS_EXPRESSION, (intptr_t)block(c) }; return true;
	case 0x10: reg = read_uleb(c); set(r, reg, CFI_AT_EXPRESSION, (intptr_t)block(c)); return true;
	case 0x11: reg = read_uleb(c); set(r, reg, CFI_AT_CFA, scaled((uint64_t)read_sleb(c), factor)); return true; /* offset_extended_sf */
	case 0x12: reg = read_uleb(c); set_cfa(r, reg, scaled((uint64_t)read_sleb(c), factor)); return true; /* def_cfa_sf */
	case 0x13: r->row.cfa.n = scaled((uint64_t)read_sleb(c), factor); return true; /* def_cfa_offset_sf */
	case 0x14: reg = read_uleb(c); set(r, reg, CFI_IS_CFA, scaled(read_uleb(c), factor)); return true; /* val_offset */
	case 0x15: reg = read_uleb(c); set(r, reg, CFI_IS_CFA, scaled((uint64_t)read_sleb(c), factor)); return true;
	case 0x16: reg = read_uleb(c); set(r, reg, CFI_IS_EXPRESSION, (intptr_t)block(c)); return true;
	case 0x2d: return true; /* aarch64 negate_ra_state: return addresses are stripped anyway */
	case 0x2e: read_uleb(c); return true; /* GNU_args_size */
	case 0x2f: reg = read_uleb(c); set(r, reg, CFI_AT_CFA, scaled(0 - read_uleb(c), factor)); return true;
	default: return false;
	}
}

/* Runs one program up to `at`. false: damaged or not understood. */
static bool run(struct run *r, const struct cfi_image *m, uintptr_t from, uintptr_t end, uintptr_t at)
{
	struct cursor c = cursor_at(m, from, end);
	while (c.at < c.end && r->location <= at) {
		uint8_t op = read_u8(&c);
		uint64_t low = op & 0x3f;
		switch (op & 0xc0) {
		case 0x40: r->location += low * r->cie->code_align; continue;
		case 0x80: set(r, low, CFI_AT_CFA, scaled(read_uleb(&c), r->cie->data_align)); continue;
		case 0xc0: restore(r, low); continue;
		}
		switch (op) {
		case 0x01: r->location = read_encoded(&c, m, r->cie->encoding, m->header, 0); break;
		case 0x02: r->location += read_u8(&c) * r->cie->code_align; break;
		case 0x03: r->location += read_u16(&c) * r->cie->code_align; break;
		case 0x04: r->location += read_u32(&c) * r->cie->code_align; break;
		case 0x0a:
			if (r->depth == REMEMBERED)
				return false;
			r->remembered[r->depth++] = r->row;
			break;
		case 0x0b:
			if (!r->depth)
				return false;
			r->row = r->remembered[--r->depth];
			break;
		default:
			if (!basic(r, &c, op))
				return false;
		}
		if (c.bad)
			return false;
	}
	return !c.bad;
}

bool cfi_find(const struct cfi_image *m, uintptr_t at, struct cfi_row *row)
{
	struct fde f;
	struct run r;
	if (!m->header || m->header < m->low || m->header >= m->high || !search(m, at, &f))
		return false;
	memset(&r, 0, offsetof(struct run, remembered)); /* CFI_SAME everywhere */
	r.depth = 0;
	r.cie = &f.cie;
	r.row.cfa.how = CFI_UNKNOWN;
	r.location = 0;
	if (!run(&r, m, f.cie.instructions, f.cie.end, UINTPTR_MAX))
		return false;
	r.initial = r.row;
	r.location = f.first;
	if (!run(&r, m, f.instructions, f.end, at))
		return false;
	*row = r.row;
	row->record = f.record;
	row->signal = f.cie.signal;
	return true;
}
