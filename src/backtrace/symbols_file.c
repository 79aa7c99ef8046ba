/*
 * Symbols of an ELF file that may be anything at all.
 *
 *   1. header ─▶ section headers ─▶ SHT_SYMTAB, else SHT_DYNSYM ─▶ its string table by sh_link; SHT_NOTE ─▶ build id
 *   2. functions (STT_FUNC, STT_GNU_IFUNC; STT_NOTYPE in code, as assembly leaves them) with an address and a name are sorted by address
 *   3. of several at one address the one with a size wins, then the global one: aliases and local labels tell less
 *
 * Nothing is dereferenced but through at(), which checks offset and size against the file without overflow; records are copied, as
 * a damaged file may leave them unaligned.
 */
#include "backtrace/symbols_file.h"
#include "base/sort.h"

#include <elf.h>
#include <string.h>

_Static_assert(sizeof(uintptr_t) == 8, "only ELF64 is read");
#if defined __x86_64__
enum { MACHINE = EM_X86_64 };
#else
enum { MACHINE = EM_AARCH64 };
#endif

/* n bytes at `offset`, or NULL. */
static const uint8_t *at(const struct symbol_file *f, uint64_t offset, uint64_t n)
{
	return offset <= f->size && n <= f->size - offset ? f->bytes + offset : NULL;
}

static bool section_at(const struct symbol_file *f, const Elf64_Ehdr *h, uint32_t i, Elf64_Shdr *out)
{
	const uint8_t *p = i < h->e_shnum ? at(f, h->e_shoff + (uint64_t)i * sizeof *out, sizeof *out) : NULL;
	if (!p || h->e_shoff > f->size)
		return false;
	memcpy(out, p, sizeof *out);
	return true;
}

static void read_notes(struct symbol_file *f, const Elf64_Shdr *s)
{
	const uint8_t *p = at(f, s->sh_offset, s->sh_size), *end = p ? p + s->sh_size : NULL;
	size_t align = s->sh_addralign == 8 ? 8 : 4;
	for (Elf64_Nhdr n; p && (size_t)(end - p) >= sizeof n;) {
		memcpy(&n, p, sizeof n);
		size_t contents = align_up(sizeof n + (size_t)n.n_namesz, align), next = align_up(contents + n.n_descsz, align);
		if (next > (size_t)(end - p))
			return;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && memcmp(p + sizeof n, "GNU", 4) == 0 && n.n_descsz <= sizeof f->build_id) {
			memcpy(f->build_id, p + contents, n.n_descsz);
			f->build_id_size = (uint8_t)n.n_descsz;
			return;
		}
		p += next;
	}
}

/* The table of section s and its names. false: damaged. */
static bool take_table(struct symbol_file *f, const Elf64_Ehdr *h, const Elf64_Shdr *s)
{
	Elf64_Shdr names;
	const uint8_t *table = at(f, s->sh_offset, s->sh_size), *text;
	if (!table || !section_at(f, h, s->sh_link, &names) || !(text = at(f, names.sh_offset, names.sh_size)))
		return false;
	if (!names.sh_size || names.sh_size > UINT32_MAX || text[names.sh_size - 1])
		return false;
	f->table = table;
	f->count = s->sh_size / sizeof(Elf64_Sym);
	f->names = (const char *)text;
	f->names_size = names.sh_size;
	return true;
}

bool symbol_file_open(struct symbol_file *f, const uint8_t *bytes, size_t size)
{
	Elf64_Ehdr h;
	Elf64_Shdr s, best = { 0 };
	*f = (struct symbol_file){ .bytes = bytes, .size = size };
	if (size < sizeof h)
		return false;
	memcpy(&h, bytes, sizeof h);
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != MACHINE
	    || (h.e_shnum && h.e_shentsize != sizeof s))
		return false;
	for (uint32_t i = 0; i < h.e_shnum && section_at(f, &h, i, &s); i++) {
		if (s.sh_type == SHT_NOTE && !f->build_id_size)
			read_notes(f, &s);
		if (s.sh_entsize == sizeof(Elf64_Sym) && (s.sh_type == SHT_SYMTAB || (s.sh_type == SHT_DYNSYM && best.sh_type != SHT_SYMTAB)))
			best = s;
	}
	return best.sh_type == SHT_NULL || take_table(f, &h, &best);
}

/* How much a symbol tells: of two at one address the larger one is kept. */
static unsigned worth(const Elf64_Sym *s)
{
	return (s->st_size ? 4u : 0u) + (ELF64_ST_TYPE(s->st_info) != STT_NOTYPE ? 2u : 0u) + (ELF64_ST_BIND(s->st_info) != STB_LOCAL ? 1u : 0u);
}

static bool before(const void *one, const void *other, const void *unused)
{
	const struct symbol *a = one, *b = other;
	return a->address != b->address ? a->address < b->address : a->worth > b->worth;
}

size_t symbol_file_read(const struct symbol_file *f, struct symbol *out, size_t most)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < f->count && n < most; i++) {
		Elf64_Sym s;
		memcpy(&s, f->table + i * sizeof s, sizeof s);
		unsigned type = ELF64_ST_TYPE(s.st_info);
		if (!s.st_value || s.st_shndx == SHN_UNDEF || s.st_shndx >= SHN_LORESERVE || s.st_name >= f->names_size || !f->names[s.st_name]
		    || f->names[s.st_name] == '$' /* aarch64: code or data from here on */
		    || (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE))
			continue;
		out[n++] = (struct symbol){ s.st_value, s.st_size, s.st_name, worth(&s) };
	}
	struct symbol moving;
	sort_by(out, n, sizeof moving, before, NULL, &moving);
	for (size_t i = 0; i < n; i++)
		if (!kept || out[kept - 1].address != out[i].address)
			out[kept++] = out[i];
	return kept;
}

const struct symbol *symbol_search(const struct symbol *sorted, size_t count, uint64_t address)
{
	size_t low = 0, high = count; /* the first that begins behind `address` */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sorted[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* A label without a size, or a short one inside a function, may stand between: the nearest that covers the address. */
	for (size_t tried = 0; low > 0 && tried < 8; tried++) {
		const struct symbol *s = &sorted[--low];
		if (!s->size || address - s->address < s->size)
			return s;
	}
	return NULL;
}
