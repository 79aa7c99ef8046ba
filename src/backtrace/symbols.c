/*
 * Names of code, for reports made inside the process.
 *
 *   address ─▶ module (modules.c) ─▶ its file, mapped ─▶ symbols sorted by address, in a mapping of their own ─▶ binary search
 *
 * A module's symbols are those of the file that was mapped, if its build id is still the module's: .symtab, or .dynsym of a stripped one. Files of
 * debug packages are the command's business: reading libc's, of 4 MB, took ten times what a subshell takes, and ids of sites would
 * change with the packages that are installed.
 * The vdso is read from memory. KEPT modules are held at a time, the one that was not used for longest makes room; symbols_drop lets go of
 * all. A file that is not to be had, or is another one by now, leaves its module nameless: asked once, then remembered.
 *
 * One thread at a time. Files are opened and read by raw system calls into mappings of our own (a mapped file that somebody truncates
 * would kill the program with SIGBUS), at most FILE_MOST bytes.
 */
#include "backtrace/symbols.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "backtrace/symbols_file.h"
#include "os/local.h"
#include "os/os.h"

#include <fcntl.h>
#include <string.h>

enum { KEPT = 64 };
#define FILE_MOST ((size_t)1 << 30)

static struct kept {
	uint32_t module;           /* row + 1; 0: free */
	uint32_t used;             /* the clock at the last question */
	uint8_t *bytes;            /* the file, or NULL: nothing is known of this module */
	size_t room;
	struct symbol *symbols;
	size_t symbols_room, count;
	const char *names;
} kept[KEPT];
static uint32_t clock;

static void let_go(struct kept *k)
{
	if (k->bytes)
		os_unmap(k->bytes, k->room);
	if (k->symbols)
		os_unmap(k->symbols, k->symbols_room);
	*k = (struct kept){ 0 };
}

void symbols_drop(void)
{
	for (int i = 0; i < KEPT; i++)
		let_go(&kept[i]);
}

void symbols_forked(void) { memset(kept, 0, sizeof kept); }

/* The file's bytes in a mapping of `*room` bytes. NULL: it can't be read. */
static uint8_t *file_read(const char *path, size_t *size, size_t *room)
{
	int fd = os_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	uint8_t *bytes = NULL;
	int64_t there = os_size(fd);
	*size = there > 0 && (uint64_t)there <= FILE_MOST ? (size_t)there : 0;
	*room = align_up(*size, 4096);
	if (*size)
		bytes = os_map(*room);
	for (size_t at = 0; bytes && at < *size;) {
		long n = os_pread(fd, bytes + at, *size - at, at);
		if (n <= 0) {
			os_unmap(bytes, *room);
			bytes = NULL;
		}
		at += (size_t)n;
	}
	os_close(fd);
	return bytes;
}

/* Reads the symbols of `size` bytes into k. false: there are none, or the file is not the module's. */
static bool take(struct kept *k, const struct module *m, const uint8_t *bytes, size_t size)
{
	struct symbol_file f;
	if (!symbol_file_open(&f, bytes, size) || !f.count)
		return false;
	if (m->build_id_size && (f.build_id_size != m->build_id_size || memcmp(f.build_id, m->build_id, f.build_id_size) != 0))
		return false;
	k->symbols_room = align_up(f.count * sizeof *k->symbols, 4096);
	k->symbols = os_map(k->symbols_room);
	if (!k->symbols)
		return false;
	k->count = symbol_file_read(&f, k->symbols, f.count);
	k->names = f.names;
	return true;
}

static bool take_file(struct kept *k, const struct module *m, const char *path)
{
	size_t size;
	k->bytes = file_read(path, &size, &k->room);
	if (!k->bytes)
		return false;
	if (take(k, m, k->bytes, size))
		return true;
	os_unmap(k->bytes, k->room);
	k->bytes = NULL;
	return false;
}

static struct kept *kept_of(uint32_t module)
{
	struct kept *k = kept;
	for (int i = 0; i < KEPT; i++) {
		if (kept[i].module == module + 1) {
			kept[i].used = ++clock;
			return &kept[i];
		}
		if (kept[i].used < k->used)
			k = &kept[i];
	}
	const struct module *m = modules_get(module);
	let_go(k);
	k->module = module + 1;
	k->used = ++clock;
	if (strcmp(m->path, "[vdso]") == 0)
		take(k, m, (const uint8_t *)m->low, align_up(m->high, 4096) - m->low); /* its sections are told behind its segment */
	else
		take_file(k, m, m->path);
	return k;
}

static bool find_in(uint32_t module, uintptr_t address, const char **name, uintptr_t *offset)
{
	uintptr_t bias = modules_get(module)->bias;
	const struct kept *k = kept_of(module);
	const struct symbol *s = symbol_search(k->symbols, k->count, address - bias);
	*offset = address - bias - (s ? s->address : 0);
	if (s)
		*name = k->names + s->name;
	return s != NULL;
}

bool symbols_find(uintptr_t address, const char **name, uintptr_t *offset)
{
	uint32_t module = modules_find(address);
	*offset = address;
	return module != MODULE_NONE && find_in(module, address, name, offset);
}

uint32_t symbols_module(uint32_t node)
{
	const struct depot_node *n = depot_get(node);
	return n->module != MODULE_NONE ? n->module : modules_find(n->pc - 1);
}

bool symbols_of_node(uint32_t node, const char **name, uintptr_t *offset, const char **module)
{
	const struct depot_node *n = depot_get(node);
	*offset = n->pc - 1;
	*module = NULL;
	uint32_t row = symbols_module(node);
	if (row == MODULE_NONE)
		return false;
	*module = modules_get(row)->path;
	return find_in(row, n->pc - 1, name, offset);
}
