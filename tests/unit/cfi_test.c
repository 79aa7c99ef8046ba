/* Call-frame information written by hand: what the compiler at hand does not write, other people's does. */
#include "backtrace/cfi.h"

#include <criterion/criterion.h>
#include <string.h>

/* An image: header, one CIE, one FDE for [function, function + 100). */
static struct {
	uint8_t bytes[1024] __attribute__((aligned(16)));
	size_t at;
	size_t fde;
} image;
static uintptr_t function;
#define BASE ((uintptr_t)image.bytes)

static void u8(unsigned v) { image.bytes[image.at++] = (uint8_t)v; }
static void put(uint64_t v, size_t n) { memcpy(image.bytes + image.at, &v, n); image.at += n; }
static void bytes(const char *p, size_t n) { memcpy(image.bytes + image.at, p, n); image.at += n; }
static void encoded(unsigned encoding, uintptr_t v)
{
	static const uint8_t sizes[16] = { 8, 0, 2, 4, 8, 0, 0, 0, 8, 0, 2, 4, 8 };
	if ((encoding & 0x70) == 0x10)
		v -= BASE + image.at;
	if ((encoding & 0x70) == 0x30)
		v -= BASE;
	put(v, sizes[encoding & 0x0f]);
}
static size_t begin(void) { put(0, 4); return image.at; }
static void end(size_t start)
{
	while (image.at % 8 != 4)
		u8(0);
	uint32_t size = (uint32_t)(image.at - start);
	memcpy(image.bytes + start - 4, &size, 4);
}

/* code: of the FDE. pointer: encoding of addresses; table: of the header's, 0xff: none. */
static void build(unsigned pointer, unsigned table, const char *code, size_t n, const char *letters)
{
	memset(&image, 0, sizeof image);
	image.at = 64;
	function = BASE + 512;
	size_t cie = image.at, start = begin();
	put(0, 4);
	u8(1);
	bytes(letters, strlen(letters) + 1);
	u8(1);              /* code alignment */
	u8(0x78);           /* data alignment: -8 */
	u8(MACHINE_RA_NUMBER);
	if (letters[0] == 'z') {
		size_t data = image.at;
		u8(0);
		for (const char *l = letters + 1; *l; l++) {
			if (*l == 'R')
				u8(pointer);
			if (*l == 'L')
				u8(0x1b);
			if (*l == 'P')
				u8(0x1b), put(77, 4);
			if (*l == 'Q')
				put(0x123456, 3);
		}
		image.bytes[data] = (uint8_t)(image.at - data - 1);
	}
	bytes("\x0c\x07\x08\x90\x01", 5); /* CFA: sp + 8 (rsp by number 7); return address at CFA - 8 */
	image.bytes[image.at - 4] = MACHINE_SP_NUMBER;
	image.bytes[image.at - 2] = (uint8_t)(0x80 | MACHINE_RA_NUMBER);
	end(start);
	image.fde = image.at;
	start = begin();
	put(image.at - cie, 4);
	encoded(letters[0] == 'z' ? pointer : 0, function);
	encoded(letters[0] == 'z' ? pointer & 0x0f : 0, 100);
	if (letters[0] == 'z') {
		u8(4);
		put(0, 4);
	}
	bytes(code, n);
	end(start);
	put(0, 4);
	size_t behind = image.at;
	image.at = 0;
	u8(1);
	u8(0x1b);
	u8(table == 0xff ? 0xff : 0x03);
	u8(table);
	encoded(0x1b, BASE + cie);
	if (table != 0xff) {
		put(1, 4);
		encoded(table, function);
		encoded(table, BASE + image.fde);
	}
	image.at = behind;
}

static bool find(uintptr_t offset, struct cfi_row *row)
{
	struct cfi_image m = { BASE, BASE + sizeof image.bytes, BASE, 48 };
	return cfi_find(&m, function + offset, row);
}

Test(cfi, every_encoding_of_pointers_is_read)
{
	static const uint8_t pointers[] = { 0x00, 0x04, 0x0c, 0x1b, 0x1c, 0x10, 0x3b, 0x3c }, tables[] = { 0x3b, 0x3c, 0x1b, 0x04, 0xff };
	for (size_t i = 0; i < NELEM(pointers); i++)
		for (size_t k = 0; k < NELEM(tables); k++) {
			struct cfi_row row;
			build(pointers[i], tables[k], "\x41\x0e\x10", 3, "zR");
			cr_assert(find(0, &row), "pointers %#x, table %#x", pointers[i], tables[k]);
			cr_assert_eq(row.cfa.n, 8);
			cr_assert_eq((unsigned)row.cfa_slot, (unsigned)CFI_SP);
			cr_assert(find(1, &row));
			cr_assert_eq(row.cfa.n, 16);
			cr_assert(!find(100, &row), "behind its end");
			cr_assert(!find((uintptr_t)-1, &row), "before its start");
		}
}

Test(cfi, augmentations_are_read_or_skipped)
{
	struct cfi_row row;
	static const char *const known[] = { "zR", "zPLR", "zRS", "zRQ" };
	for (size_t i = 0; i < NELEM(known); i++) {
		build(0x1b, 0x3b, "", 0, known[i]);
		cr_assert(find(5, &row), "%s", known[i]);
		cr_assert_eq(row.signal, strchr(known[i], 'S') != NULL);
	}
	build(0x1b, 0x3b, "", 0, "");
	cr_assert(find(5, &row), "none at all: absolute addresses");
	build(0x1b, 0x3b, "", 0, "Q");
	cr_assert(!find(5, &row), "one that nobody knows, without a size");
}

Test(cfi, remembered_rows_come_back)
{
	struct cfi_row row;
	/* +1: remember, CFA 32; +2: restore; +3: CFA + 64 */
	build(0x1b, 0x3b, "\x41\x0a\x0e\x20\x41\x0b\x41\x0e\x40", 9, "zR");
	static const intptr_t cfa[] = { 8, 32, 8, 64 };
	for (unsigned i = 0; i < NELEM(cfa); i++) {
		cr_assert(find(i, &row));
		cr_assert_eq(row.cfa.n, cfa[i]);
	}
	build(0x1b, 0x3b, "\x0b", 1, "zR");
	cr_assert(!find(0, &row), "restored without being remembered");
}

Test(cfi, what_is_not_understood_is_refused)
{
	struct cfi_row row;
	build(0x1b, 0x3b, "\x3b", 1, "zR");
	cr_assert(!find(0, &row));
	build(0x1b, 0x3b, "\x0e", 1, "zR");
	image.bytes[image.fde + 3] = 0x7f; /* a record longer than the image */
	cr_assert(!find(0, &row));
	build(0x2b, 0x3b, "", 0, "zR");
	cr_assert(!find(0, &row), "textrel");
}

#ifdef __x86_64__
Test(cfi, registers_are_found_in_every_way)
{
	struct cfi_row row;
	/* rbx at CFA-16; rbp val_offset 2; r12 in r13; r14 by expression rbp-8; r15 undefined */
	static const char code[] = "\x83\x02\x14\x06\x02\x09\x0c\x0d\x10\x0e\x02\x76\x78\x07\x0f";
	build(0x1b, 0x3b, code, sizeof code - 1, "zR");
	cr_assert(find(0, &row));
	cr_assert_eq(row.saved[0].how, CFI_AT_CFA);
	cr_assert_eq(row.saved[0].n, -16);
	cr_assert_eq(row.saved[1].how, CFI_IS_CFA);
	cr_assert_eq(row.saved[1].n, -16);
	cr_assert_eq(row.saved[2].how, CFI_IN_REGISTER);
	cr_assert_eq(row.saved[2].n, 3);
	cr_assert_eq(row.saved[4].how, CFI_AT_EXPRESSION);
	cr_assert_eq(row.saved[5].how, CFI_UNDEFINED);
	cr_assert_eq(row.saved[CFI_RA].n, -8);
	struct cfi_image m = { BASE, BASE + sizeof image.bytes, BASE, 48 };
	unsigned slot;
	intptr_t offset;
	bool loaded;
	cr_assert(cfi_simple(&m, (uintptr_t)row.saved[4].n, &slot, &offset, &loaded));
	cr_assert_eq(slot, 1u);
	cr_assert_eq(offset, -8);
	cr_assert(!loaded);
}

/* The PLT's: CFA = rsp + 8 + ((rip & 15) >= 11) * 8. */
Test(cfi, the_plts_expression_is_evaluated)
{
	static const uint8_t plt[] = { 11, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22 };
	uintptr_t saved[MACHINE_SAVED] = { 0 }, cfa;
	struct cfi_image m = { (uintptr_t)plt, (uintptr_t)(plt + sizeof plt), 0, 0 };
	for (unsigned i = 0; i < 16; i++) {
		struct cfi_scene s = { &m, saved, 1000, 0x4000 + i, NULL, NULL };
		cr_assert(cfi_evaluate(&s, m.low, false, 0, &cfa));
		cr_assert_eq(cfa, (uintptr_t)(i >= 11 ? 1016 : 1008));
	}
}
#endif

Test(cfi, expressions_end)
{
	static const uint8_t forever[] = { 3, 0x2f, 0xfd, 0xff }, empty[] = { 1, 0x22 }, deref[] = { 2, 0x30, 0x06 };
	uintptr_t saved[MACHINE_SAVED] = { 0 }, v;
	const uint8_t *all[] = { forever, empty, deref };
	for (size_t i = 0; i < NELEM(all); i++) {
		struct cfi_image m = { (uintptr_t)all[i], (uintptr_t)all[i] + 1 + all[i][0], 0, 0 };
		struct cfi_scene s = { &m, saved, 0, 0, NULL, NULL };
		cr_assert(!cfi_evaluate(&s, m.low, false, 0, &v));
	}
}
