/*
 * Names of code, for reports made inside the process.
 *
 *   address ─▶ module (modules.c) ─▶ its file's symbol table ─▶ the first FEW questions: all of the table is gone through
 *                                                           ─▶ more of them: sorted by address, in a mapping of its own; binary search
 *
 * A short program that leaks in two places asks ten times in all, and to sort libc's table would take longer than it runs. Of a file only its headers,
 * notes and one table with its names are read, each to its own place in a mapping as long as the file, whose other pages nobody touches.
 *
 * A module's symbols are those of the file that was mapped, if its build id is still the module's: .symtab, or .dynsym of a stripped one. Files of
 * debug packages are the command's business: reading libc's, of 4 MB, took ten times what a subshell takes, and ids of sites would
 * change with the packages that are installed.
 * The vdso is read from memory. KEPT modules are held at a time, the one that was not used for longest makes room; symbols_drop lets go of
 * all. A file that is not to be had, or is another one by now, leaves its module nameless: asked once, then remembered.
 *
 * One thread at a time. Files are opened and read by raw system calls into mappings of our own (a mapped file that somebody truncates
 * would kill the program with SIGBUS), of at most FILE_MOST bytes.
 */
#include "backtrace/symbols.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "backtrace/symbols_file.h"
#include "os/local.h"
#include "os/os.h"

#include <fcntl.h>
#include <string.h>

enum { KEPT = 64, FEW = 24 };
#define FILE_MOST ((size_t)1 << 30)

static LARGE struct kept {
	uint32_t module;           /* row + 1; 0: free */
	uint32_t used;             /* the clock at the last question */
	uint32_t questions;
	uint8_t *bytes;            /* the file, as far as it is read, or NULL */
	size_t room;
	struct symbol_file file;   /* without a table: nothing is known of this module */
	struct symbol *sorted;     /* NULL: not yet */
	size_t sorted_room, count;
} kept[KEPT];
static uint32_t clock;

static void drop_file(struct kept *k)
{
	if (k->bytes)
		os_unmap(k->bytes, k->room);
	k->bytes = NULL;
	k->file = (struct symbol_file){ 0 };
}

static void let_go(struct kept *k)
{
	drop_file(k);
	if (k->sorted)
		os_unmap(k->sorted, k->sorted_room);
	*k = (struct kept){ 0 };
}

void symbols_drop(void)
{
	if (!clock) /* nobody asked, and the pages of `kept` are untouched */
		return;
	for (int i = 0; i < KEPT; i++)
		let_go(&kept[i]);
	clock = 0;
}

void symbols_forked(void)
{
	if (clock)
		memset(kept, 0, sizeof kept);
	clock = 0;
}

struct source {
	int fd;
	uint8_t *bytes;
};

static bool load(void *arg, uint64_t offset, uint64_t n)
{
	const struct source *from = arg;
	for (uint64_t done = 0; done < n;) {
		long r = os_pread(from->fd, from->bytes + offset + done, n - done, offset + done);
		if (r <= 0)
			return false;
		done += (uint64_t)r;
	}
	return true;
}

/* Finds the table of `size` bytes. Without one k->file is empty; so it is of a file that is not the module's. */
static void take(struct kept *k, const struct module *m, const uint8_t *bytes, size_t size, struct source *from)
{
	struct symbol_file *f = &k->file;
	if (!symbol_file_open(f, bytes, size, from ? load : NULL, from) || (m->build_id_size && (f->build_id_size != m->build_id_size ||
	    memcmp(f->build_id, m->build_id, f->build_id_size) != 0)))
		*f = (struct symbol_file){ 0 };
	f->load = NULL; /* the table and its names are there, and nothing else is looked at */
}

static void take_file(struct kept *k, const struct module *m, const char *path)
{
	struct source from = { .fd = os_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0) };
	if (from.fd < 0)
		return;
	const int64_t size = os_size(from.fd);
	if (size > 0 && (uint64_t)size <= FILE_MOST) {
		k->room = align_up((size_t)size, 4096);
		k->bytes = from.bytes = os_map(k->room);
	}
	if (k->bytes)
		take(k, m, k->bytes, (size_t)size, &from);
	if (!k->file.count)
		drop_file(k);
	os_close(from.fd);
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
		take(k, m, (const uint8_t *)m->low, align_up(m->high, 4096) - m->low, NULL); /* its sections are told behind its segment */
	else
		take_file(k, m, m->path);
	return k;
}

/* false: there is no memory, so the table is gone through as before. */
static bool sort(struct kept *k)
{
	if (k->sorted)
		return true;
	k->sorted_room = align_up(k->file.count * sizeof *k->sorted, 4096);
	k->sorted = os_map(k->sorted_room);
	k->count = k->sorted ? symbol_file_read(&k->file, k->sorted, k->file.count) : 0;
	return k->sorted != NULL;
}

static bool find_in(uint32_t module, uintptr_t address, const char **name, uintptr_t *offset)
{
	struct kept *k = kept_of(module);
	struct symbol found;
	const struct symbol *s = NULL;
	*offset = address - modules_get(module)->bias;
	if (!k->file.count)
		return false;
	if (++k->questions > FEW && sort(k))
		s = symbol_search(k->sorted, k->count, *offset);
	else if (symbol_file_find(&k->file, *offset, &found))
		s = &found;
	if (!s)
		return false;
	*offset -= s->address;
	*name = k->file.names + s->name;
	return true;
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
	return n->module != MODULE_NONE ? n->module : modules_find(depot_pc(node) - 1);
}

bool symbols_of_node(uint32_t node, const char **name, uintptr_t *offset, const char **module)
{
	const uintptr_t call = depot_pc(node) - 1;
	*offset = call;
	*module = NULL;
	uint32_t row = symbols_module(node);
	if (row == MODULE_NONE)
		return false;
	*module = modules_get(row)->path;
	return find_in(row, call, name, offset);
}
