/*
 * The name of a variable, from .symtab of a module's file, or .dynsym of a stripped one: for the root of a retention path.
 *
 * The file may be anything by now: nothing of it is mapped or trusted. Headers, symbols and names are copied by pread, a symbol's name and
 * bounds are used only as far as they were read, and a file that makes no sense has no names. The smallest variable that holds the
 * address wins; after it the section that does is told, in any case.
 */
#include "report/variable.h"
#include "os/os.h"
#include "base/text.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>

enum { SYMBOLS = 64, SECTIONS_MOST = 4096 };

static bool read_at(int fd, void *to, size_t n, uint64_t at) { return at <= (uint64_t)INT64_MAX - n && os_pread(fd, to, n, at) == (long)n; }

/* A name of a string table; *c ends in NUL, cut where the file ends. */
static void read_name(int fd, const Elf64_Shdr *strings, uint32_t at, char *buf, size_t cap)
{
	long n = at < strings->sh_size && strings->sh_offset <= (uint64_t)INT64_MAX - at ? os_pread(fd, buf, cap - 1, strings->sh_offset + at) : 0;
	buf[n > 0 ? n : 0] = '\0';
}

static bool read_section(int fd, const Elf64_Ehdr *h, uint32_t i, Elf64_Shdr *s)
{
	return i < h->e_shnum && read_at(fd, s, sizeof *s, h->e_shoff + (uint64_t)i * sizeof *s);
}

/* The smallest variable of this table around `value`. */
static bool look_through(int fd, const Elf64_Shdr *table, uint64_t value, Elf64_Sym *best)
{
	Elf64_Sym symbols[SYMBOLS];
	bool found = false;
	for (uint64_t at = 0; at + sizeof *symbols <= table->sh_size;) {
		size_t n = table->sh_size - at < sizeof symbols ? (table->sh_size - at) / sizeof *symbols : SYMBOLS;
		if (!read_at(fd, symbols, n * sizeof *symbols, table->sh_offset + at))
			return found;
		at += n * sizeof *symbols;
		for (size_t i = 0; i < n; i++) {
			const Elf64_Sym *s = &symbols[i];
			if (ELF64_ST_TYPE(s->st_info) != STT_OBJECT || s->st_shndx == SHN_UNDEF || value - s->st_value >= s->st_size
			    || (found && s->st_size >= best->st_size))
				continue;
			*best = *s;
			found = true;
		}
	}
	return found;
}

static bool open_elf(const char *path, int *fd, Elf64_Ehdr *h)
{
	*fd = os_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	if (*fd < 0)
		return false;
	if (read_at(*fd, h, sizeof *h, 0) && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64
	    && h->e_shentsize == sizeof(Elf64_Shdr) && h->e_shnum <= SECTIONS_MOST && h->e_shoff <= INT64_MAX / 2)
		return true;
	os_close(*fd);
	return false;
}

void variable_find(const char *path, uint64_t value, struct variable *v)
{
	int fd;
	Elf64_Ehdr h;
	Elf64_Shdr s, strings;
	Elf64_Sym symbol;
	memset(v, 0, sizeof *v);
	if (!open_elf(path, &fd, &h))
		return;
	for (uint32_t i = 0; i < h.e_shnum && read_section(fd, &h, i, &s); i++) {
		bool full = s.sh_type == SHT_SYMTAB, table = full || (s.sh_type == SHT_DYNSYM && !v->name[0]);
		if (table && look_through(fd, &s, value, &symbol) && read_section(fd, &h, s.sh_link, &strings)) {
			read_name(fd, &strings, symbol.st_name, v->name, sizeof v->name);
			v->offset = value - symbol.st_value;
		} else if (s.sh_flags & SHF_ALLOC && !(s.sh_flags & SHF_TLS) && value - s.sh_addr < s.sh_size && read_section(fd, &h, h.e_shstrndx, &strings)) {
			read_name(fd, &strings, s.sh_name, v->section, sizeof v->section);
		}
	}
	os_close(fd);
}
