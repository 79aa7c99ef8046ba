/*
 * The table of modules.
 *
 *   rows      one for each module that was ever seen, in the order of their first listing; they never move
 *   index     the segments by address, for modules_find; of a closed module its whole range, as long as nothing else stands there
 *   memory    mappings that only grow, from which rows, names and indices are cut; nothing is given back
 *
 * A listing, by one thread at a time:
 *   1. dl_iterate_phdr: each module finds its row (same file, place, build id) or gets a new one; its segments are collected
 *   2. open rows that were not met are closed
 *   3. when anything changed: the segments are sorted into the index that is not shown, which is then shown; the generation rises last,
 *      so that who reads the new generation finds the new index
 *
 * Two indices take turns. A reader remembers `fills`, which rises before an index is overwritten, and looks again when it changed while it
 * searched: the shown index is only overwritten after the other one has been shown, so an unchanged `fills` means an untouched index, also
 * for a handler on top of the lister. A pair that became too small stays mapped behind its readers.
 */
#include "backtrace/modules.h"
#include "backtrace/depot.h"
#include "backtrace/leave.h"
#include "base/sort.h"
#include "base/text.h"
#include "os/os.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>

enum {
	ROWS_MOST = 1 << 16,
	ROWS_CHUNK = 64,
	PATH_MOST = 4096,
	MEMORY_LEAST = 64 << 10,
	MEMORIES = 32,        /* each twice the one before */
	TRIES = 64            /* of a reader; a listing takes far longer than a search */
};

struct row {
	struct module module;
	uint32_t met;         /* lister: the listing that saw it last */
	bool buried;          /* lister: closed, and another module stood in its place since */
};
struct place {
	uintptr_t low, high;
	uint32_t row;
};
struct index {
	uint32_t count, room; /* count: atomic */
	struct place at[];    /* atomic fields: see above */
};

static LARGE struct row *chunks[ROWS_MOST / ROWS_CHUNK]; /* set before the count covers them */
static uint32_t count;             /* atomic: rows that are complete */
uint32_t modules_generation_now;
static struct index *shown;        /* atomic */
static uint32_t fills;             /* atomic: pairs with modules_find */
static uint32_t listing;           /* atomic: 0 nobody, 1 under way, 2 once more */

/* The lister's own. */
static struct index *pair[2];      /* one of them may be shown */
static struct place *found;
static uint32_t found_count, found_room;
static uint32_t pass;
static unsigned long long adds, subs; /* the loader's counters at the last listing */
static bool changed, vdso_met;

/* -- memory -- */

static STEADY struct { uintptr_t low, high; } memories[MEMORIES];
static uint32_t memory_count;      /* atomic: released after its entry */
static uintptr_t memory_at;        /* free from here on, in the last one */

/* Zeroed, for ever. NULL: no memory. */
static void *keep(size_t size)
{
	uint32_t n = memory_count;
	size = align_up(size, 16);
	if (!n || memories[n - 1].high - memory_at < size) {
		size_t room = n ? 2 * (memories[n - 1].high - memories[n - 1].low) : MEMORY_LEAST;
		while (room < size)
			room *= 2;
		uintptr_t p = n < MEMORIES ? (uintptr_t)os_map(room) : 0;
		if (!p)
			return NULL;
		memories[n].low = p;
		memories[n].high = p + room;
		memory_at = p;
		store_release(&memory_count, n + 1);
	}
	uintptr_t p = memory_at;
	memory_at += size;
	return (void *)p;
}

void modules_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (uint32_t i = 0, n = load_acquire(&memory_count); i < n; i++)
		fn(memories[i].low, memories[i].high);
}

/* -- reading -- */

uint32_t modules_count(void) { return load_acquire(&count); }
static struct row *row_at(uint32_t i) { return &chunks[i / ROWS_CHUNK][i % ROWS_CHUNK]; }
const struct module *modules_get(uint32_t index) { return &row_at(index)->module; }

/* The place that holds `address`, by halves. */
static uint32_t search(const struct index *x, uintptr_t address)
{
	uint32_t low = 0, high = load_relaxed(&x->count);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (load_relaxed(&x->at[middle].high) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < load_relaxed(&x->count) && load_relaxed(&x->at[low].low) <= address)
		return load_relaxed(&x->at[low].row);
	return MODULE_NONE;
}

uint32_t modules_find(uintptr_t address)
{
	for (int tried = 0; tried < TRIES; tried++) {
		uint32_t before = load_acquire(&fills);
		const struct index *x = load_acquire(&shown);
		uint32_t row = x ? search(x, address) : MODULE_NONE;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (load_relaxed(&fills) == before)
			return row;
	}
	return MODULE_NONE;
}

/* -- step 1: what the loader says of one module -- */

/* What the header and its segments say; the path is set by the caller. */
static void read_segments(struct module *m, const struct dl_phdr_info *info)
{
	m->bias = info->dlpi_addr;
	m->low = m->text_low = UINTPTR_MAX;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t low = m->bias + h->p_vaddr, high = low + h->p_memsz;
		if (h->p_type == PT_GNU_EH_FRAME) {
			m->eh_frame_hdr = low;
			m->eh_frame_hdr_size = h->p_memsz;
		}
		if (h->p_type != PT_LOAD || high <= low)
			continue;
		m->low = low < m->low ? low : m->low;
		m->high = high > m->high ? high : m->high;
		if (h->p_flags & PF_X) {
			m->text_low = low < m->text_low ? low : m->text_low;
			m->text_high = high > m->text_high ? high : m->text_high;
		}
	}
	if (m->text_high == 0)
		m->text_low = 0;
}

/* [low, high) stands in what was loaded from the file and can be read? */
static bool loaded(const struct dl_phdr_info *info, uintptr_t low, uintptr_t high)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + h->p_vaddr;
		if (h->p_type == PT_LOAD && (h->p_flags & PF_R) && low >= start && high >= low && high <= start + h->p_filesz)
			return true;
	}
	return false;
}

/* One PT_NOTE: entries of name size, contents' size, type, name, contents, each padded to `align`. */
static void read_notes(struct module *m, uintptr_t at, uintptr_t end, size_t align)
{
	while (end - at >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const ElfW(Nhdr) *)at;
		size_t name = align_up(sizeof *n + (size_t)n->n_namesz, align), next = align_up(name + n->n_descsz, align);
		if (next > end - at)
			return;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && memcmp(n + 1, "GNU", 4) == 0 && n->n_descsz <= BUILD_ID_MOST) {
			memcpy(m->build_id, (const char *)at + name, n->n_descsz);
			m->build_id_size = (uint8_t)n->n_descsz;
			return;
		}
		at += next;
	}
}

static void read_build_id(struct module *m, const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum && !m->build_id_size; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t low = info->dlpi_addr + h->p_vaddr;
		if (h->p_type == PT_NOTE && low % 4 == 0 && loaded(info, low, low + h->p_filesz))
			read_notes(m, low, low + h->p_filesz, h->p_align == 8 ? 8 : 4);
	}
}

/* The loader gives neither the program nor the vdso a name, and keeps relative names as they were. */
static const char *path_of(const struct dl_phdr_info *info, const struct module *m)
{
	static LARGE char path[2 * PATH_MOST];
	const char *name = info->dlpi_name ? info->dlpi_name : "";
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
	if (vdso && vdso - m->low < m->high - m->low) {
		vdso_met = true;
		return "[vdso]";
	}
	if (name[0] == '/')
		return name;
	long n = os_readlink(name[0] ? "/proc/self/cwd" : "/proc/self/exe", path, PATH_MOST);
	if (n <= 0 || n == PATH_MOST)
		return name[0] ? name : "[program]"; /* no /proc */
	if (name[0])
		text_format(path + n, sizeof path - (size_t)n, "/%s", name);
	else
		path[n] = 0;
	return path;
}

static bool same(const struct module *a, const struct module *b)
{
	return a->bias == b->bias && a->low == b->low && a->high == b->high && a->text_low == b->text_low && a->text_high == b->text_high
	       && a->eh_frame_hdr == b->eh_frame_hdr && a->eh_frame_hdr_size == b->eh_frame_hdr_size && a->build_id_size == b->build_id_size
	       && memcmp(a->build_id, b->build_id, a->build_id_size) == 0 && strcmp(a->path, b->path) == 0;
}

/* A name that a row has already, or a copy. NULL: no memory. */
static const char *path_kept(const char *path)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(row_at(i)->module.path, path) == 0)
			return row_at(i)->module.path;
	size_t n = strlen(path) + 1;
	char *copy = keep(n);
	return copy ? memcpy(copy, path, n) : NULL;
}

/* A new row for m. MODULE_NONE: no memory, the module stays unknown. */
static uint32_t row_new(const struct module *m)
{
	uint32_t i = count;
	const char *path = i < ROWS_MOST ? path_kept(m->path) : NULL;
	struct row **chunk = path ? &chunks[i / ROWS_CHUNK] : NULL;
	if (chunk && !*chunk)
		*chunk = keep(ROWS_CHUNK * sizeof **chunk);
	if (!chunk || !*chunk)
		return MODULE_NONE;
	struct row *r = row_at(i);
	*r = (struct row){ .module = *m };
	r->module.path = path;
	r->module.opened = modules_generation_now + 1;
	store_release(&count, i + 1);
	changed = true;
	return i;
}

static uint32_t row_of(const struct module *m)
{
	for (uint32_t i = count; i-- > 0;) {
		struct row *r = row_at(i);
		if (!same(&r->module, m))
			continue;
		if (r->module.closed) {
			store_relaxed(&r->module.closed, false);
			if (r->buried)
				depot_bury(i, false);
			r->buried = false;
			changed = true;
		}
		return i;
	}
	return row_new(m);
}

static void collect(uintptr_t low, uintptr_t high, uint32_t row)
{
	if (found_count == found_room) {
		uint32_t room = found_room ? 2 * found_room : 512;
		struct place *more = keep(room * sizeof *more);
		if (!more)
			return;
		if (found_count)
			memcpy(more, found, found_count * sizeof *more);
		found = more;
		found_room = room;
	}
	found[found_count++] = (struct place){ low, high, row };
}

static int take_module(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct module m = { 0 };
	read_segments(&m, info);
	if (m.low >= m.high)
		return 0;
	read_build_id(&m, info);
	m.path = path_of(info, &m);
	uint32_t row = row_of(&m);
	if (row == MODULE_NONE)
		return 0;
	row_at(row)->met = pass;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type == PT_LOAD && h->p_memsz)
			collect(m.bias + h->p_vaddr, m.bias + h->p_vaddr + h->p_memsz, row);
	}
	if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs) {
		changed |= info->dlpi_adds != adds || info->dlpi_subs != subs;
		adds = info->dlpi_adds;
		subs = info->dlpi_subs;
	}
	return 0;
}

/* For loaders that don't list it. */
static void take_vdso(void)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
	if (!header || header->e_phentsize != sizeof(ElfW(Phdr)))
		return;
	const ElfW(Phdr) *h = (const ElfW(Phdr) *)((uintptr_t)header + header->e_phoff);
	struct dl_phdr_info info = { .dlpi_phdr = h, .dlpi_phnum = header->e_phnum };
	for (int i = 0; i < header->e_phnum; i++)
		if (h[i].p_type == PT_LOAD && h[i].p_offset == 0)
			info.dlpi_addr = (uintptr_t)header - h[i].p_vaddr;
	take_module(&info, 0, NULL);
}

/* -- step 3 -- */

static bool before(const void *a, const void *b, const void *unused)
{
	return ((const struct place *)a)->low < ((const struct place *)b)->low;
}

/* The first of the sorted places that ends above `address`. */
static uint32_t first_above(uintptr_t address)
{
	uint32_t low = 0, high = found_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (found[middle].high <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Closed modules keep their range until another module takes some of it, the newest first. */
static void add_closed(void)
{
	for (uint32_t i = count; i-- > 0;) {
		struct row *r = row_at(i);
		if (!r->module.closed || r->buried)
			continue;
		uint32_t at = first_above(r->module.low), before = found_count;
		if (at < found_count && found[at].low < r->module.high) {
			r->buried = true;
			depot_bury(i, true);
			continue;
		}
		collect(0, 0, i);
		if (found_count == before)
			return;
		memmove(&found[at + 1], &found[at], (before - at) * sizeof *found);
		found[at] = (struct place){ r->module.low, r->module.high, i };
	}
}

static void show(void)
{
	struct index *x = pair[shown == pair[0]];
	if (!x || x->room < found_count) {
		for (int i = 0; i < 2; i++) {
			uint32_t room = found_room;
			pair[i] = keep(sizeof *x + room * sizeof x->at[0]);
			if (!pair[i]) {
				pair[0] = pair[1] = NULL; /* the old one stays shown */
				return;
			}
			pair[i]->room = room;
		}
		x = pair[0];
	}
	__atomic_fetch_add(&fills, 1, __ATOMIC_ACQ_REL);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (uint32_t i = 0; i < found_count; i++) {
		store_relaxed(&x->at[i].low, found[i].low);
		store_relaxed(&x->at[i].high, found[i].high);
		store_relaxed(&x->at[i].row, found[i].row);
	}
	store_relaxed(&x->count, found_count);
	store_release(&shown, x);
}

static void list_once(void)
{
	changed = vdso_met = false;
	found_count = 0;
	pass++;
	if (!modules_iterate(take_module, NULL))
		return;
	if (!vdso_met)
		take_vdso();
	for (uint32_t i = 0; i < count; i++) {
		struct row *r = row_at(i);
		if (r->met != pass && !r->module.closed) {
			store_relaxed(&r->module.closed, true);
			changed = true;
		}
	}
	if (!changed)
		return;
	struct place moving;
	sort_by(found, found_count, sizeof moving, before, NULL, &moving);
	add_closed();
	show();
	__atomic_fetch_add(&modules_generation_now, 1, __ATOMIC_ACQ_REL);
}

void modules_list(void)
{
	uint32_t idle = 0;
	while (!cas(&listing, &idle, 1)) {
		if (idle == 2 || cas(&listing, &idle, 2))
			return; /* whoever is listing goes round once more */
		idle = 0;
	}
	for (uint32_t under_way;;) {
		store_release(&listing, 1);
		list_once();
		under_way = 1;
		if (cas(&listing, &under_way, 0))
			return;
	}
}

void modules_forked(void)
{
	loader_forked();
	store_release(&listing, 0);
	modules_left_behind();
}
