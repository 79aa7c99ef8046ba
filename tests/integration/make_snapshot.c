/*
 * Writes a snapshot file by the letter of report/snapshot.h, with real stacks: its own, through a chain of functions, one of which is inlined,
 * and through a C++ library (libshape.so) if one is named. What the command makes of it can be checked against addr2line and the source.
 *
 *   make_snapshot FILE [NAME=VALUE...]
 *     pid=N scale=N            blocks and bytes of all sites times N
 *     without=LETTERS add=LETTERS  sites, see the table below
 *     library=PATH             the C++ library
 *     incomplete=1 sampled=1 newer=1   header; newer: larger records, an unknown section, a higher minor version
 */
#include "report/snapshot.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, DEPTH = 64, NEWER = 16 };

static char strings[1 << 20];
static uint32_t string_size = 1;
static struct snapshot_module modules[256];
static struct snapshot_frame frames[MOST];
static struct snapshot_site sites[64];
static struct snapshot_growth growth[64];
static struct snapshot_block blocks[256];
static struct snapshot_root roots[4];
static uint32_t module_count, frame_count = 1, site_count, growth_count, block_count, root_count;

static uint32_t string(const char *s)
{
	size_t n = strlen(s) + 1;
	memcpy(strings + string_size, s, n);
	string_size += (uint32_t)n;
	return string_size - (uint32_t)n;
}

static void find_build_id(const struct dl_phdr_info *i, const ElfW(Phdr) *p, struct snapshot_module *m)
{
	const char *at = (const char *)i->dlpi_addr + p->p_vaddr, *end = at + p->p_memsz;
	while (at + sizeof(ElfW(Nhdr)) < end) {
		const ElfW(Nhdr) *n = (const void *)at;
		const char *name = at + sizeof(*n), *text = name + ((n->n_namesz + 3) & ~3u);
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && n->n_descsz <= 32) {
			memcpy(m->build_id, text, n->n_descsz);
			m->build_id_size = n->n_descsz;
		}
		at = text + ((n->n_descsz + 3) & ~3u);
	}
}

static int add_module(struct dl_phdr_info *i, size_t size, void *arg)
{
	struct snapshot_module *m = &modules[module_count];
	char self[4096];
	const char *path = i->dlpi_name;
	ssize_t n;
	(void)size, (void)arg;
	if (!*path && module_count == 0 && (n = readlink("/proc/self/exe", self, sizeof(self) - 1)) > 0) {
		self[n] = 0;
		path = self;
	}
	if (!*path)
		return 0;
	m->path = string(path);
	m->bias = i->dlpi_addr;
	m->low = UINT64_MAX;
	for (int k = 0; k < i->dlpi_phnum; k++) {
		const ElfW(Phdr) *p = &i->dlpi_phdr[k];
		if (p->p_type == PT_LOAD) {
			uint64_t low = i->dlpi_addr + p->p_vaddr;
			m->low = low < m->low ? low : m->low;
			m->high = low + p->p_memsz > m->high ? low + p->p_memsz : m->high;
		}
		if (p->p_type == PT_NOTE)
			find_build_id(i, p, m);
	}
	module_count++;
	return 0;
}

static uint32_t module_of(uint64_t pc)
{
	for (uint32_t i = 0; i < module_count; i++)
		if (pc >= modules[i].low && pc < modules[i].high)
			return i;
	return UINT32_MAX;
}

static uint32_t frame(uint32_t parent, uint64_t pc)
{
	for (uint32_t i = 1; i < frame_count; i++)
		if (frames[i].parent == parent && frames[i].pc == pc)
			return i;
	Dl_info d = { 0 };
	bool named = dladdr((void *)(uintptr_t)(pc - 1), &d) && d.dli_sname;
	uint32_t module = module_of(pc);
	frames[frame_count] = (struct snapshot_frame){ .pc = pc, .parent = parent, .module = module, .symbol = named ? string(d.dli_sname) : 0,
		.offset = (uint32_t)(named ? pc - 1 - (uint64_t)(uintptr_t)d.dli_saddr : module == UINT32_MAX ? 0 : pc - 1 - modules[module].bias) };
	return frame_count++;
}

/* ---- stacks ---- */

static uint32_t taken; /* the frame of the last capture */

__attribute__((noinline)) void capture(void);
void capture(void)
{
	void *pcs[DEPTH];
	int n = backtrace(pcs, DEPTH);
	taken = 0;
	for (int i = n; i > 1; i--) /* without this function */
		taken = frame(taken, (uint64_t)(uintptr_t)pcs[i - 1]);
}

static volatile int depth; /* keeps calls from becoming jumps */

static inline __attribute__((always_inline)) void inlined_part(void)
{
	capture();
	depth++;
}
__attribute__((noinline)) static void parse_header(void) { inlined_part(); depth++; }
__attribute__((noinline)) static void read_body(void) { capture(); depth++; }
__attribute__((noinline)) static void conn_read(void (*then)(void)) { then(); depth++; }
__attribute__((noinline)) static void worker(void (*then)(void)) { conn_read(then); depth++; }

/* ---- sites ---- */

static uint64_t scale = 1;

static void add_site(uint64_t id, uint32_t at, const uint64_t (*kinds)[2], uint32_t rule)
{
	struct snapshot_site *s = &sites[site_count++];
	*s = (struct snapshot_site){ .id = id, .frame = at, .rule = rule, .example = 0x280000001000 + 0x1000 * site_count, .largest = 1000 };
	for (int k = 0; k < KINDS; k++) {
		s->kind[k].blocks = kinds[k][0] * scale;
		s->kind[k].bytes = kinds[k][1] * scale;
	}
}

static void add_sites(const char *letters, void (*shape)(void (*)(void)))
{
	for (const char *c = letters; *c; c++) {
		taken = 0;
		switch (*c) {
		case 'A': /* definite, with an inlined frame */
			worker(parse_header);
			add_site(0x7f3a9c0000000001, taken, (const uint64_t[][2]){ { 8113, 32505856 }, { 0, 0 }, { 0, 0 }, { 5, 500 } }, RULE_NO_POINTER);
			for (int i = 0; i < 3; i++)
				blocks[block_count++] = (struct snapshot_block){ .address = 0x280000002000u + 64u * (unsigned)i, .bytes = 48, .site = site_count - 1, .kind = KIND_DEFINITE };
			break;
		case 'B': /* definite, and owns C */
			worker(read_body);
			add_site(0x0b00000000000002, taken, (const uint64_t[][2]){ { 1, 4096 }, { 2, 300 }, { 0, 0 }, { 0, 0 } }, RULE_CYCLE);
			sites[site_count - 1].owned_blocks = 12 * scale;
			sites[site_count - 1].owned_bytes = 1500 * scale;
			break;
		case 'C': /* indirect alone */
			read_body();
			add_site(0x0c00000000000003, taken, (const uint64_t[][2]){ { 0, 0 }, { 10, 1200 }, { 0, 0 }, { 0, 0 } }, RULE_LOST_OWNER);
			blocks[block_count++] = (struct snapshot_block){ .address = 0x280000003000u, .bytes = 120, .site = site_count - 1, .kind = KIND_INDIRECT,
				.rule = RULE_LOST_OWNER, .owner = 0x280000002000u };
			break;
		case 'D': /* possible */
			conn_read(parse_header);
			add_site(0x0d00000000000004, taken, (const uint64_t[][2]){ { 0, 0 }, { 0, 0 }, { 7, 7000 }, { 0, 0 } }, RULE_INTERIOR_ONLY);
			break;
		case 'E': /* reachable and growing */
			conn_read(read_body);
			add_site(0x0e00000000000005, taken, (const uint64_t[][2]){ { 0, 0 }, { 0, 0 }, { 0, 0 }, { 100, 1 << 20 } }, RULE_REACHABLE);
			break;
		case 'F': /* left out by the library */
			parse_header();
			add_site(0x0f00000000000006, taken, (const uint64_t[][2]){ { 1, 77 }, { 0, 0 }, { 0, 0 }, { 0, 0 } }, RULE_NO_POINTER);
			sites[site_count - 1].flags = 1;
			sites[site_count - 1].suppression = string("built-in: one-time \033[31mblocks");
			break;
		case 'G': /* no stack */
			add_site(0, 0, (const uint64_t[][2]){ { 2, 20 }, { 0, 0 }, { 0, 0 }, { 0, 0 } }, RULE_NO_POINTER);
			break;
		case 'H': /* from C++ */
			if (shape)
				shape(read_body);
			add_site(0x0800000000000007, taken, (const uint64_t[][2]){ { 3, 333 }, { 0, 0 }, { 0, 0 }, { 0, 0 } }, RULE_NO_POINTER);
			break;
		case 'I': /* differs from A in the seventh digit; code of no module, a module that is not there any more */
			taken = frame(frame(0, 0x1234567), modules[module_count - 1].high - 16);
			frames[frame_count - 1].module = module_count - 1;
			frames[frame_count - 1].symbol = string("_ZN4gone6moduleEv");
			add_site(0x7f3a9c1000000008, taken, (const uint64_t[][2]){ { 1, 64 }, { 0, 0 }, { 0, 0 }, { 0, 0 } }, RULE_NO_POINTER);
			break;
		default:
			break;
		}
	}
}

static void add_growth(uint64_t now, uint64_t seconds)
{
	for (uint32_t i = 0; i < site_count; i++)
		for (uint64_t k = 0; k <= 4 && (sites[i].id >> 56 == 0x7f || sites[i].id >> 56 == 0x0e); k++)
			growth[growth_count++] = (struct snapshot_growth){ .site = i, .at_ns = now - (4 - k) * seconds * 1000000000u / 4, .blocks = 100 * k, .bytes = 53248 * k * seconds / 4 };
}

/* ---- the file ---- */

static char file[8 << 20];
static uint64_t file_size;
static struct snapshot_section table[16];
static uint32_t sections;

/* extra: bytes that a later version appends to each record. */
static void put(uint32_t kind, const void *records, uint32_t size, uint64_t count, uint32_t extra)
{
	file_size = (file_size + 7) & ~7ull;
	table[sections++] = (struct snapshot_section){ kind, size + extra, file_size, count };
	for (uint64_t i = 0; i < count; i++) {
		memcpy(file + file_size, (const char *)records + i * size, size);
		memset(file + file_size + size, 0xa5, extra);
		file_size += size + extra;
	}
}

static const char *value(int argc, char **argv, const char *name)
{
	for (int i = 2; i < argc; i++)
		if (!strncmp(argv[i], name, strlen(name)) && argv[i][strlen(name)] == '=')
			return argv[i] + strlen(name) + 1;
	return NULL;
}

int main(int argc, char **argv)
{
	const char *pid = value(argc, argv, "pid"), *library = value(argc, argv, "library"), *chosen = value(argc, argv, "sites");
	bool newer = value(argc, argv, "newer");
	struct timespec t;
	void *warm[1];
	if (argc < 2)
		return 2;
	backtrace(warm, 1); /* loads libgcc_s before modules are listed */
	void *handle = library ? dlopen(library, RTLD_NOW) : NULL;
	void (*shape)(void (*)(void)) = NULL;
	if (handle)
		*(void **)&shape = dlsym(handle, "shape_run");
	if (library && !shape)
		return 3;
	dl_iterate_phdr(add_module, NULL);
	modules[module_count] = (struct snapshot_module){ .low = 0x7000, .high = 0x9000, .bias = 0x7000, .path = string("/gone/lib\033[2Jfoo.so"), .flags = 1, .build_id = { 1, 2, 3 }, .build_id_size = 3 };
	module_count++;
	scale = value(argc, argv, "scale") ? strtoull(value(argc, argv, "scale"), NULL, 10) : 1;
	add_sites(chosen ? chosen : "ABCDEFGI", shape);
	clock_gettime(CLOCK_REALTIME, &t);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	if (value(argc, argv, "growth"))
		add_growth(now, strtoull(value(argc, argv, "growth"), NULL, 10));
	roots[root_count++] = (struct snapshot_root){ string("libc.so.6 \"data\""), string("segment"), 4096 };
	struct snapshot_header h = { .major = SNAPSHOT_MAJOR, .minor = SNAPSHOT_MINOR, .flags = SNAPSHOT_COMPLETE | SNAPSHOT_BLOCKS, .made_ns = now,
		.started_ns = now, .pid = pid ? (uint32_t)atoi(pid) : 4121, .parent = 1, .live_blocks = 1204 * scale, .live_bytes = 3355443 * scale,
		.heap_bytes = 1 << 22, .rss_bytes = 1 << 23, .cycles = 1, .captures = 2, .program = string("/usr/bin/server"), .command = string("./server --port 80"),
		.why = string("exit"), .machine = string("x86_64") };
	if (value(argc, argv, "both"))
		sites[0].kind[KIND_REACHABLE].blocks = sites[0].kind[KIND_REACHABLE].bytes = 1; /* beside its own kind */
	if (value(argc, argv, "incomplete"))
		h.flags = 0;
	if (value(argc, argv, "sampled")) {
		h.sample_bytes = 512 << 10;
		for (uint32_t i = 0; i < site_count; i++)
			sites[i].factor_bytes = 2048;
	}
	uint32_t extra = newer ? NEWER : 0;
	h.minor = newer ? 7 : SNAPSHOT_MINOR;
	file_size = sizeof(h) + 16 * sizeof(struct snapshot_section);
	put(SECTION_BLOCKS, blocks, sizeof(blocks[0]), block_count, extra);
	put(SECTION_SITES, sites, sizeof(sites[0]), site_count, extra);
	put(SECTION_FRAMES, frames, sizeof(frames[0]), frame_count, extra);
	put(SECTION_MODULES, modules, sizeof(modules[0]), module_count, extra);
	put(SECTION_GROWTH, growth, sizeof(growth[0]), growth_count, extra);
	if (value(argc, argv, "looks")) {
		uint64_t n = strtoull(value(argc, argv, "looks"), NULL, 10);
		struct snapshot_looks looks = { 60000000000u, n, n ? now - (n - 1) * 60000000000u : 0, n ? now : 0 };
		put(SECTION_LOOKS, &looks, sizeof(looks), 1, extra);
	}
	put(SECTION_ROOTS, roots, sizeof(roots[0]), root_count, extra);
	if (newer)
		put(99, "unknown", 8, 1, 0);
	put(SECTION_STRINGS, strings, 1, string_size, 0);
	memcpy(h.magic, SNAPSHOT_MAGIC, sizeof(h.magic));
	h.sections = sections;
	h.size = file_size;
	memcpy(file, &h, sizeof(h));
	memcpy(file + sizeof(h), table, sizeof(table));
	FILE *f = fopen(argv[1], "wb");
	return !f || fwrite(file, 1, file_size, f) != file_size || fclose(f) ? 1 : 0;
}
