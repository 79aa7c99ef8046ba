/*
 * Finds the file that names a module's code, and reads its symbol table.
 *
 *   1. The module's path, if what stands there has the module's build id (without one: if it is no younger than the process).
 *   2. Its debug file: /usr/lib/debug/.build-id/xx/yyyy.debug; else by .gnu_debuglink beside the file, in .debug and below
 *      /usr/lib/debug, believed if build id or, without one, the checksum fits; else, if asked for, what debuginfod-find brings.
 *   3. Tools read the debug file if there is one: its addresses are those of the module.
 *   4. Symbols are those of .symtab of either, else of .dynsym.
 *
 * A file stays mapped, symbols point into it. Any byte of it may be wrong: see elfimage.h.
 */
#include "object.h"
#include "elfimage.h"
#include "tool.h"
#include "take.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYMBOLS_MAX = 1 << 23, SECTIONS_MAX = 1 << 16, PATH_MOST = 4096 };
#define DEBUG_FOLDER "/usr/lib/debug"

struct elf {
	struct image im;
	Elf64_Ehdr head;
	uint64_t changed_ns;
};

/* ---- a file ---- */

static void unmap_elf(struct elf *e) { munmap((void *)(uintptr_t)e->im.bytes, e->im.size); }

static bool map_elf(const char *path, struct elf *e)
{
	struct stat st;
	memset(e, 0, sizeof(*e));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	const void *bytes = NULL;
	const char *wrong;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > (off_t)sizeof(e->head))
		bytes = take_file(fd, &st, &wrong);
	close(fd);
	if (!bytes)
		return false;
	e->im.bytes = bytes;
	e->im.size = (size_t)st.st_size;
	e->changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	memcpy(&e->head, bytes, sizeof(e->head));
	if (!memcmp(e->head.e_ident, ELFMAG, SELFMAG) && e->head.e_ident[EI_CLASS] == ELFCLASS64 && e->head.e_ident[EI_DATA] == ELFDATA2LSB)
		return true;
	unmap_elf(e);
	return false;
}

static bool section_at(struct elf *e, unsigned i, Elf64_Shdr *s)
{
	return i < e->head.e_shnum && e->head.e_shentsize == sizeof(*s) && read_at(&e->im, e->head.e_shoff + (uint64_t)i * sizeof(*s), s, sizeof(*s));
}

static bool section_named(struct elf *e, const char *name, Elf64_Shdr *s)
{
	Elf64_Shdr names;
	if (!section_at(e, e->head.e_shstrndx, &names))
		return false;
	for (unsigned i = 1; section_at(e, i, s); i++) {
		const char *own = string_at(&e->im, names.sh_offset + s->sh_name);
		if (own && !strcmp(own, name))
			return true;
	}
	return false;
}

/* The build id among the notes in [offset, offset + size). */
static unsigned id_in_notes(struct elf *e, uint64_t offset, uint64_t size, uint8_t id[ID_MOST])
{
	Elf64_Nhdr note;
	uint64_t end = offset + size;
	if (end < offset || end > e->im.size)
		return 0;
	while (offset + sizeof(note) <= end && read_at(&e->im, offset, &note, sizeof(note))) {
		uint64_t name = offset + sizeof(note), text = name + align_up(note.n_namesz, 4);
		char owner[4];
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= ID_MOST && read_at(&e->im, name, owner, 4) &&
		    !memcmp(owner, "GNU", 4) && text + note.n_descsz <= end && read_at(&e->im, text, id, note.n_descsz))
			return note.n_descsz;
		offset = text + align_up(note.n_descsz, 4);
	}
	return 0;
}

/* By sections first: the program headers of a debug file speak of bytes that it does not have. */
static unsigned build_id(struct elf *e, uint8_t id[ID_MOST])
{
	Elf64_Shdr s;
	Elf64_Phdr p;
	unsigned n = 0;
	for (unsigned i = 1; !n && section_at(e, i, &s); i++)
		if (s.sh_type == SHT_NOTE)
			n = id_in_notes(e, s.sh_offset, s.sh_size, id);
	for (unsigned i = 0; !n && i < e->head.e_phnum && e->head.e_phentsize == sizeof(p); i++)
		if (read_at(&e->im, e->head.e_phoff + i * sizeof(p), &p, sizeof(p)) && p.p_type == PT_NOTE)
			n = id_in_notes(e, p.p_offset, p.p_filesz, id);
	return n;
}

static bool has_id(struct elf *e, const struct object *o)
{
	uint8_t id[ID_MOST];
	return o->id_size && build_id(e, id) == o->id_size && !memcmp(id, o->id, o->id_size);
}

/* ---- its debug file ---- */

static uint32_t checksum(const unsigned char *p, size_t n)
{
	uint32_t sum = ~0u;
	for (; n; n--, p++) {
		sum ^= *p;
		for (int k = 0; k < 8; k++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
	}
	return ~sum;
}

static bool debug_by_id(const struct object *o, char path[PATH_MOST], struct elf *debug)
{
	snprintf(path, PATH_MOST, DEBUG_FOLDER "/.build-id/%.2s/%s.debug", o->id_text, o->id_size ? o->id_text + 2 : "");
	if (!o->id_size || !map_elf(path, debug))
		return false;
	if (has_id(debug, o))
		return true;
	unmap_elf(debug);
	return false;
}

static bool debug_by_link(const struct object *o, struct elf *e, char path[PATH_MOST], struct elf *debug)
{
	static const char *const places[] = { "%s/%s", "%s/.debug/%s", DEBUG_FOLDER "%s/%s" };
	Elf64_Shdr s;
	uint32_t sum;
	if (!section_named(e, ".gnu_debuglink", &s))
		return false;
	const char *name = string_at(&e->im, s.sh_offset);
	if (!name || !*name || strchr(name, '/') || !read_at(&e->im, s.sh_offset + align_up(strlen(name) + 1, 4), &sum, sizeof(sum)))
		return false;
	char *real = realpath(o->path, NULL), *copy = strdup(real ? real : o->path);
	const char *folder = copy ? dirname(copy) : "/";
	bool found = false;
	for (size_t i = 0; !found && i < NELEM(places); i++) {
		if (i == 0)
			snprintf(path, PATH_MOST, places[0], folder, name);
		else if (i == 1)
			snprintf(path, PATH_MOST, places[1], folder, name);
		else
			snprintf(path, PATH_MOST, places[2], folder, name);
		if (!map_elf(path, debug))
			continue;
		/* The link may name the file itself; that one has no more to say. */
		found = debug->im.size != e->im.size && (has_id(debug, o) || (!o->id_size && checksum(debug->im.bytes, debug->im.size) == sum));
		if (!found)
			unmap_elf(debug);
	}
	free(real);
	free(copy);
	return found;
}

static bool debug_by_server(const struct object *o, char path[PATH_MOST], struct elf *debug)
{
	const char *tool = o->id_size ? tool_find("debuginfod-find") : NULL;
	if (!tool)
		return false;
	const char *const argv[] = { tool, "debuginfo", o->id_text, NULL };
	char *answer = tool_run(argv, "", 0, true);
	free((void *)(uintptr_t)tool);
	snprintf(path, PATH_MOST, "%s", answer ? answer : "");
	path[strcspn(path, "\n")] = 0;
	free(answer);
	return path[0] == '/' && map_elf(path, debug);
}

/* ---- symbols ---- */

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool read_table(struct elf *e, uint32_t type, struct object *o)
{
	Elf64_Shdr s, strings;
	unsigned i = 1;
	while (section_at(e, i, &s) && s.sh_type != type)
		i++;
	if (i >= e->head.e_shnum || !section_at(e, i, &s) || s.sh_type != type || !section_at(e, s.sh_link, &strings))
		return false;
	uint64_t count = s.sh_size / sizeof(Elf64_Sym);
	if (count > SYMBOLS_MAX || !bytes_at(&e->im, s.sh_offset, s.sh_size) || !(o->symbols = calloc(count + 1, sizeof(*o->symbols))))
		return false;
	for (uint64_t k = 1; k < count; k++) {
		Elf64_Sym sym;
		if (!read_at(&e->im, s.sh_offset + k * sizeof(sym), &sym, sizeof(sym)))
			break;
		int kind = ELF64_ST_TYPE(sym.st_info);
		if ((kind != STT_FUNC && kind != STT_GNU_IFUNC) || sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		const char *name = string_at(&e->im, strings.sh_offset + sym.st_name);
		if (name && *name)
			o->symbols[o->symbol_count++] = (struct symbol){ sym.st_value, sym.st_size, name };
	}
	qsort(o->symbols, o->symbol_count, sizeof(*o->symbols), by_address);
	return o->symbol_count != 0;
}

const char *object_symbol(const struct object *o, uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = o->symbol_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (o->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* Several names of one address stand together, the largest first; a size of 0 is unknown. */
	while (low > 1 && o->symbols[low - 2].address == o->symbols[low - 1].address)
		low--;
	if (!low || (o->symbols[low - 1].size && address - o->symbols[low - 1].address >= o->symbols[low - 1].size))
		return NULL;
	*offset = address - o->symbols[low - 1].address;
	return o->symbols[low - 1].name;
}

void object_locate(struct object *o, bool debuginfod)
{
	char path[PATH_MOST];
	struct elf own, debug;
	bool here = o->path[0] == '/' && map_elf(o->path, &own);
	if (here && (o->id_size ? !has_id(&own, o) : o->started_ns && own.changed_ns > o->started_ns)) {
		unmap_elf(&own);
		here = false;
	}
	bool apart = debug_by_id(o, path, &debug) || (here && debug_by_link(o, &own, path, &debug)) ||
	             (debuginfod && debug_by_server(o, path, &debug));
	if (here || apart)
		o->file = apart ? strdup(path) : o->path;
	if (!(apart && read_table(&debug, SHT_SYMTAB, o)) && !(here && read_table(&own, SHT_SYMTAB, o)) && here)
		read_table(&own, SHT_DYNSYM, o);
}
