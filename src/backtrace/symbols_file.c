/*
 * Symbols of an ELF file that may be anything at all.
 *
 *   1. header ─▶ section headers ─▶ SHT_SYMTAB, else SHT_DYNSYM ─▶ its string table by sh_link; SHT_NOTE ─▶ build id
 *   2. functions (STT_FUNC, STT_GNU_IFUNC; STT_NOTYPE in code, as assembly leaves them) with an address and a name are sorted by address
 *   3. of several at one address the one with a size wins, then the global one, as aliases and local labels tell less; then the first name
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

enum { NEAR = 8 }; /* symbols below an address that are asked whether they hold it */

/* n bytes at `offset`, or NULL. */
static const uint8_t *at(const struct symbol_file *f, uint64_t offset, uint64_t n)
{
	if (offset > f->size || n > f->size - offset)
		return NULL;
	return !f->load || f->load(f->arg, offset, n) ? f->bytes + offset : NULL;
}

struct sections {
	const uint8_t *bytes;
	uint32_t count;
};

/* As many of them as the file has. */
static struct sections sections_of(const struct symbol_file *f, const Elf64_Ehdr *h)
{
	struct sections s = { NULL, h->e_shnum };
	if (h->e_shoff <= f->size && s.count > (f->size - h->e_shoff) / sizeof(Elf64_Shdr))
		s.count = (uint32_t)((f->size - h->e_shoff) / sizeof(Elf64_Shdr));
	s.bytes = at(f, h->e_shoff, s.count * sizeof(Elf64_Shdr));
	return s;
}

static bool section_at(const struct sections *all, uint32_t i, Elf64_Shdr *out)
{
	if (!all->bytes || i >= all->count)
		return false;
	memcpy(out, all->bytes + (size_t)i * sizeof *out, sizeof *out);
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
static bool take_table(struct symbol_file *f, const struct sections *all, const Elf64_Shdr *s)
{
	Elf64_Shdr names;
	const uint8_t *table = at(f, s->sh_offset, s->sh_size), *text;
	if (!table || !section_at(all, s->sh_link, &names) || !(text = at(f, names.sh_offset, names.sh_size)))
		return false;
	if (!names.sh_size || names.sh_size > UINT32_MAX || text[names.sh_size - 1])
		return false;
	f->table = table;
	f->count = s->sh_size / sizeof(Elf64_Sym);
	f->names = (const char *)text;
	f->names_size = names.sh_size;
	return true;
}

bool symbol_file_open(struct symbol_file *f, const uint8_t *bytes, size_t size, bool (*load)(void *arg, uint64_t offset, uint64_t n), void *arg)
{
	Elf64_Ehdr h;
	Elf64_Shdr s, best = { 0 };
	*f = (struct symbol_file){ .bytes = bytes, .size = size, .load = load, .arg = arg };
	if (!at(f, 0, sizeof h))
		return false;
	memcpy(&h, bytes, sizeof h);
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != MACHINE
	    || (h.e_shnum && h.e_shentsize != sizeof s))
		return false;
	const struct sections all = sections_of(f, &h);
	for (uint32_t i = 0; section_at(&all, i, &s); i++) {
		if (s.sh_type == SHT_NOTE && !f->build_id_size)
			read_notes(f, &s);
		if (s.sh_entsize == sizeof(Elf64_Sym) && (s.sh_type == SHT_SYMTAB || (s.sh_type == SHT_DYNSYM && best.sh_type != SHT_SYMTAB)))
			best = s;
	}
	return best.sh_type == SHT_NULL || take_table(f, &all, &best);
}

/* How much a symbol tells: of two at one address the larger one is kept. */
static unsigned worth(const Elf64_Sym *s)
{
	return (s->st_size ? 4u : 0u) + (ELF64_ST_TYPE(s->st_info) != STT_NOTYPE ? 2u : 0u) + (ELF64_ST_BIND(s->st_info) != STB_LOCAL ? 1u : 0u);
}

static bool before(const void *one, const void *other, const void *unused)
{
	const struct symbol *a = one, *b = other;
	if (a->address != b->address)
		return a->address < b->address;
	if (a->worth != b->worth)
		return a->worth > b->worth;
	return a->name != b->name ? a->name < b->name : a->size > b->size;
}

/* Record i; false: it names no code. */
static bool function_at(const struct symbol_file *f, size_t i, struct symbol *out)
{
	Elf64_Sym s;
	memcpy(&s, f->table + i * sizeof s, sizeof s);
	unsigned type = ELF64_ST_TYPE(s.st_info);
	if (!s.st_value || s.st_shndx == SHN_UNDEF || s.st_shndx >= SHN_LORESERVE || s.st_name >= f->names_size || !f->names[s.st_name]
	    || f->names[s.st_name] == '$' /* aarch64: code or data from here on */
	    || (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE))
		return false;
	*out = (struct symbol){ s.st_value, s.st_size, s.st_name, worth(&s) };
	return true;
}

static bool covers(const struct symbol *s, uint64_t address) { return !s->size || address - s->address < s->size; }

size_t symbol_file_read(const struct symbol_file *f, struct symbol *out, size_t most)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < f->count && n < most; i++)
		n += function_at(f, i, &out[n]);
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
	for (size_t tried = 0; low > 0 && tried < NEAR; tried++)
		if (covers(&sorted[--low], address))
			return &sorted[low];
	return NULL;
}

/* The one at the highest address up to `most`, as the sort would have left it. Its address is 0 if there is none. */
static struct symbol nearest(const struct symbol_file *f, uint64_t most)
{
	struct symbol s, best = { 0 };
	for (size_t i = 0; i < f->count; i++) {
		uint64_t address;
		memcpy(&address, f->table + i * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_value), sizeof address);
		if (address <= most && address >= best.address && function_at(f, i, &s) && (address > best.address || before(&s, &best, NULL)))
			best = s;
	}
	return best;
}

bool symbol_file_find(const struct symbol_file *f, uint64_t address, struct symbol *out)
{
	uint64_t most = address;
	for (size_t tried = 0; tried < NEAR; tried++, most = out->address - 1) {
		*out = nearest(f, most);
		if (!out->address || covers(out, address))
			return out->address != 0;
	}
	return false;
}
