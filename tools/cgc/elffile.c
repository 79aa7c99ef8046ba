/*
 * Reads the few facts about an executable that decide whether a preloaded library can serve it.
 *
 *   1. `#!` at the start: a script; the interpreter's name is all there is to know.
 *   2. The ELF header gives class, byte order and machine. Files of another class or byte order end here: the caller
 *      refuses them anyway, and their headers have other shapes.
 *   3. The program headers give PT_INTERP (dynamic or not) and PT_DYNAMIC.
 *   4. The dynamic section gives needed libraries (a sanitizer's runtime among them) and, through the program headers,
 *      the file offsets of the string and symbol tables. Section headers are not used: strip may have removed them.
 *   5. The dynamic symbols show a sanitizer that was linked in (clang links it statically) and a malloc of the program's
 *      own. Their number is in no header: it follows from the hash tables.
 *
 * The file may be anything at all, so nothing is dereferenced: every read goes through bytes_at(), which checks offset and
 * size against the file and without overflow; a table that leads out of it makes the file ELF_DAMAGED.
 */
#include "elffile.h"
#include "elfimage.h"
#include "take.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A hash chain or table longer than this belongs to no real program: bounds the work on crafted files. */
enum { SYMBOLS_MAX = 1 << 22, SHEBANG_MAX = 256 };

/* Where in the file the bytes of virtual address `va` are; UINT64_MAX: in no loaded segment. */
static uint64_t offset_of(struct image *im, uint64_t va)
{
	Elf64_Phdr p;
	for (unsigned i = 0; phdr(im, i, &p); i++)
		if (p.p_type == PT_LOAD && va >= p.p_vaddr && va - p.p_vaddr < p.p_filesz)
			return p.p_offset + (va - p.p_vaddr);
	return UINT64_MAX;
}

/* -- the dynamic section -- */

struct dynamic {
	uint64_t strings, symbols, hash, gnu_hash; /* virtual addresses; 0: absent */
};

static const char *sanitizer_of_library(const char *name)
{
	static const struct { const char *prefix, *name; } known[] = {
		{ "libasan.", "AddressSanitizer" }, { "libclang_rt.asan", "AddressSanitizer" },
		{ "libtsan.", "ThreadSanitizer" }, { "libclang_rt.tsan", "ThreadSanitizer" },
		{ "liblsan.", "LeakSanitizer" }, { "libclang_rt.lsan", "LeakSanitizer" },
		{ "libhwasan.", "HWAddressSanitizer" }, { "libclang_rt.hwasan", "HWAddressSanitizer" },
		{ "libclang_rt.msan", "MemorySanitizer" },
	};
	for (size_t i = 0; i < NELEM(known); i++)
		if (!strncmp(name, known[i].prefix, strlen(known[i].prefix)))
			return known[i].name;
	return NULL;
}

static const char *sanitizer_of_symbol(const char *name)
{
	static const struct { const char *symbol, *name; } known[] = {
		{ "__asan_init", "AddressSanitizer" }, { "__tsan_init", "ThreadSanitizer" }, { "__msan_init", "MemorySanitizer" },
		{ "__hwasan_init", "HWAddressSanitizer" }, { "__lsan_init", "LeakSanitizer" }, { "__dfsan_init", "DataFlowSanitizer" },
	};
	if (name[0] != '_')
		return NULL;
	for (size_t i = 0; i < NELEM(known); i++)
		if (!strcmp(name, known[i].symbol))
			return known[i].name;
	return NULL;
}

static void note_sanitizer(struct elf_facts *facts, const char *name)
{
	if (name)
		snprintf(facts->sanitizer, sizeof(facts->sanitizer), "%s", name);
}

/* DT_GNU_HASH: the last symbol is the end of the chain that starts at the highest bucket. */
static uint64_t count_by_gnu_hash(struct image *im, uint64_t offset)
{
	uint32_t head[4]; /* buckets, first symbol, bloom words, shift */
	if (!read_at(im, offset, head, sizeof(head)))
		return 0;
	uint64_t buckets = offset + sizeof(head) + (uint64_t)head[2] * 8, chains = buckets + (uint64_t)head[0] * 4;
	uint32_t last = 0, value;
	for (uint32_t i = 0; i < head[0] && i < SYMBOLS_MAX; i++) {
		if (!read_at(im, buckets + (uint64_t)i * 4, &value, sizeof(value)))
			return 0;
		last = value > last ? value : last;
	}
	if (last < head[1])
		return head[1];
	for (uint32_t steps = 0; steps < SYMBOLS_MAX; steps++, last++) {
		if (!read_at(im, chains + (uint64_t)(last - head[1]) * 4, &value, sizeof(value)))
			return 0;
		if (value & 1)
			return (uint64_t)last + 1;
	}
	return 0;
}

static uint64_t count_symbols(struct image *im, const struct dynamic *d)
{
	uint32_t head[2]; /* DT_HASH: buckets, symbols */
	uint64_t offset = d->hash ? offset_of(im, d->hash) : UINT64_MAX;
	if (offset != UINT64_MAX)
		return read_at(im, offset, head, sizeof(head)) ? head[1] : 0;
	offset = d->gnu_hash ? offset_of(im, d->gnu_hash) : UINT64_MAX;
	return offset != UINT64_MAX ? count_by_gnu_hash(im, offset) : 0;
}

static void read_symbols(struct image *im, const struct dynamic *d, struct elf_facts *facts)
{
	uint64_t strings = offset_of(im, d->strings), symbols = offset_of(im, d->symbols);
	uint64_t count = count_symbols(im, d);
	if (strings == UINT64_MAX || symbols == UINT64_MAX)
		return;
	for (uint64_t i = 1; i < count && i < SYMBOLS_MAX; i++) {
		Elf64_Sym sym;
		if (!read_at(im, symbols + i * sizeof(sym), &sym, sizeof(sym)))
			return;
		const char *name = string_at(im, strings + sym.st_name);
		if (!name)
			return;
		note_sanitizer(facts, sanitizer_of_symbol(name));
		if (sym.st_shndx != SHN_UNDEF && !strcmp(name, "malloc"))
			facts->own_malloc = true;
	}
}

static void read_dynamic(struct image *im, const Elf64_Phdr *p, struct elf_facts *facts)
{
	struct dynamic d = { 0 };
	Elf64_Dyn entry;
	uint64_t count = p->p_filesz / sizeof(entry);
	/* Two passes: DT_NEEDED stands before the DT_STRTAB that its offset means. */
	for (int pass = 0; pass < 2; pass++) {
		uint64_t strings = d.strings ? offset_of(im, d.strings) : UINT64_MAX;
		for (uint64_t i = 0; i < count; i++) {
			if (!read_at(im, p->p_offset + i * sizeof(entry), &entry, sizeof(entry)) || entry.d_tag == DT_NULL)
				break;
			if (pass == 1 && entry.d_tag == DT_NEEDED && strings != UINT64_MAX) {
				const char *name = string_at(im, strings + entry.d_un.d_val);
				if (name)
					note_sanitizer(facts, sanitizer_of_library(name));
			}
			switch (pass == 0 ? entry.d_tag : DT_NULL) {
			case DT_STRTAB: d.strings = entry.d_un.d_ptr; break;
			case DT_SYMTAB: d.symbols = entry.d_un.d_ptr; break;
			case DT_HASH: d.hash = entry.d_un.d_ptr; break;
			case DT_GNU_HASH: d.gnu_hash = entry.d_un.d_ptr; break;
			default: break;
			}
		}
	}
	read_symbols(im, &d, facts);
}

/* -- the file -- */

static void read_script(const unsigned char *bytes, size_t n, struct elf_facts *facts)
{
	char line[SHEBANG_MAX];
	n = n < sizeof(line) ? n : sizeof(line) - 1;
	memcpy(line, bytes, n);
	line[n] = 0;
	line[strcspn(line, "\n")] = 0;
	/* As the kernel reads it: the first word is the interpreter, the rest is one argument. */
	const char *name = line + 2 + strspn(line + 2, " \t");
	size_t length = strcspn(name, " \t");
	const char *argument = name + length + strspn(name + length, " \t");
	facts->kind = ELF_SCRIPT;
	snprintf(facts->interpreter, sizeof(facts->interpreter), "%.*s", (int)length, name);
	snprintf(facts->argument, sizeof(facts->argument), "%s", argument);
}

static void read_program(struct image *im, struct elf_facts *facts)
{
	Elf64_Ehdr head;
	if (!read_at(im, 0, &head, sizeof(head)))
		return;
	const void *table = bytes_at(im, head.e_phoff, (uint64_t)head.e_phnum * sizeof(Elf64_Phdr));
	if (!table || head.e_phentsize != sizeof(Elf64_Phdr)) {
		im->damaged = true;
		return;
	}
	im->unaligned_phdrs = table;
	im->phdr_count = head.e_phnum;
	Elf64_Phdr p;
	for (unsigned i = 0; phdr(im, i, &p); i++) {
		if (p.p_type == PT_INTERP) {
			const char *name = string_at(im, p.p_offset);
			facts->dynamic = true;
			snprintf(facts->interpreter, sizeof(facts->interpreter), "%s", name ? name : "");
		} else if (p.p_type == PT_DYNAMIC) {
			read_dynamic(im, &p, facts);
		}
	}
}

void elf_inspect_bytes(const void *bytes, size_t n, struct elf_facts *facts)
{
	struct image im = { .bytes = bytes, .size = n };
	memset(facts, 0, sizeof(*facts));
	facts->kind = ELF_OTHER;
	if (n >= 2 && !memcmp(bytes, "#!", 2)) {
		read_script(bytes, n, facts);
		return;
	}
	if (n < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return;
	facts->kind = ELF_DAMAGED;
	if (n < EI_NIDENT + sizeof(Elf32_Half) * 2)
		return;
	const unsigned char *ident = bytes;
	facts->bits = ident[EI_CLASS] == ELFCLASS64 ? 64 : ident[EI_CLASS] == ELFCLASS32 ? 32 : 0;
	facts->data = ident[EI_DATA];
	memcpy(&facts->machine, ident + offsetof(Elf64_Ehdr, e_machine), sizeof(facts->machine)); /* the same place in both classes */
	uint16_t probe = 1;
	bool little = *(const unsigned char *)&probe == 1;
	if (facts->bits == 64 && facts->data == (little ? ELFDATA2LSB : ELFDATA2MSB))
		read_program(&im, facts);
	if (facts->bits && !im.damaged)
		facts->kind = ELF_PROGRAM;
}

void elf_inspect(const char *path, struct elf_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	struct stat st;
	/* NONBLOCK: the name may be a fifo, which must not hang us before we can refuse it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		facts->error = fd < 0 ? errno : EACCES;
		if (fd >= 0)
			close(fd);
		return;
	}
	size_t n = (size_t)st.st_size;
	/* Of our own file: one that is truncated meanwhile can kill us by SIGBUS, as it would its own start. */
	const char *wrong;
	errno = 0;
	const void *bytes = take_file(fd, &st, &wrong);
	if (wrong) {
		facts->error = errno ? errno : EFBIG;
	} else {
		elf_inspect_bytes(bytes, n, facts);
		if (n)
			munmap((void *)(uintptr_t)bytes, n);
	}
	close(fd);
}
