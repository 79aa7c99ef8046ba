/*
 * The snapshot file, as snapshot.h lays it down.
 *
 *   1. Which nodes of the depot do the sites need? Each gets its place in the section of frames, its module one in that of modules.
 *   2. Strings are gathered, each once, while sites, frames and modules are made.
 *   3. Every section is complete then; header, table and sections go out one behind the other, so that a socket does as well as a file.
 *
 * All of it stands in mappings of its own: the program's heap is what is being looked at. Where memory runs out what was made so far is
 * written and SNAPSHOT_CUT says so: a stack is then missing, or a name, and nothing is wrong.
 */
#include "report/growth.h"
#include "report/names.h"
#include "report/program.h"
#include "report/report.h"
#include "base/config.h"
#include "base/options.h"
#include "heap/sites.h"
#include "base/stats.h"
#include "heap/heap.h"
#include "os/os.h"
#include "roots/roots.h"

#include <errno.h>
#include <string.h>

enum { FIRST_ROOM = 64 << 10, SECTIONS = 8, PATH_ROOM = 4096, COMMAND_ROOM = 32 << 10 };

/* ---- memory ---- */

struct buffer {
	uint8_t *at;
	size_t size, room;
};

struct writer {
	const struct report *report;
	struct buffer strings, modules, frames, sites, roots, growth;
	uint32_t *places;     /* open addressing: string offset, 0 empty */
	size_t place_room;    /* a power of two */
	size_t string_count;
	uint32_t *frame_of;   /* [node]: index in frames, 0 none yet */
	uint32_t nodes;       /* 1..nodes were known when this began */
	uint32_t *module_of;  /* [row]: index in modules + 1 */
	uint32_t rows;
	bool cut;
};

static bool grow(struct buffer *b, size_t n)
{
	size_t room = b->room ? b->room : FIRST_ROOM;
	while (room - b->size < n)
		room *= 2;
	if (room == b->room)
		return true;
	uint8_t *more = b->room ? os_remap(b->at, b->room, room) : os_map(room);
	if (!more)
		return false;
	b->at = more;
	b->room = room;
	return true;
}

static bool append(struct writer *w, struct buffer *b, const void *bytes, size_t n)
{
	if (!grow(b, n)) {
		w->cut = true;
		return false;
	}
	memcpy(b->at + b->size, bytes, n);
	b->size += n;
	return true;
}

static void release(void *at, size_t room)
{
	if (at && room)
		os_unmap(at, room);
}

static size_t table_room(uint32_t entries) { return align_up(((size_t)entries + 1) * 4, OS_PAGE); }

static bool begin(struct writer *w)
{
	w->nodes = depot_count();
	w->rows = modules_count();
	w->place_room = FIRST_ROOM / 4;
	w->places = os_map(FIRST_ROOM);
	w->frame_of = os_map(table_room(w->nodes));
	w->module_of = os_map(table_room(w->rows));
	const struct snapshot_frame unused = { .module = UINT32_MAX };
	return w->places && w->frame_of && w->module_of && append(w, &w->strings, "", 1) && append(w, &w->frames, &unused, sizeof unused);
}

static void end(struct writer *w)
{
	struct buffer *all[] = { &w->strings, &w->modules, &w->frames, &w->sites, &w->roots, &w->growth };
	for (unsigned i = 0; i < NELEM(all); i++)
		release(all[i]->at, all[i]->room);
	release(w->places, w->place_room * 4);
	release(w->frame_of, table_room(w->nodes));
	release(w->module_of, table_room(w->rows));
}

/* ---- strings ---- */

static uint32_t *string_place(struct writer *w, const char *text)
{
	size_t i = names_hash(NAMES_HASH, text, strlen(text)) & (w->place_room - 1);
	while (w->places[i] && strcmp((char *)w->strings.at + w->places[i], text) != 0)
		i = (i + 1) & (w->place_room - 1);
	return &w->places[i];
}

/* At half of its places the table doubles; without memory for that it fills up to three quarters, and then takes no more. */
static bool more_places(struct writer *w)
{
	if (w->string_count < w->place_room / 2)
		return true;
	uint32_t *old = w->places, *more = os_map(w->place_room * 8);
	const size_t room = w->place_room;
	if (!more)
		return w->string_count < room / 4 * 3;
	w->places = more;
	w->place_room = room * 2;
	for (size_t i = 0; i < room; i++)
		if (old[i])
			*string_place(w, (char *)w->strings.at + old[i]) = old[i];
	os_unmap(old, room * 4);
	return true;
}

/* Its offset; 0 for none, and when there is no memory. */
static uint32_t string(struct writer *w, const char *text)
{
	if (!text || !*text)
		return 0;
	if (!more_places(w)) {
		w->cut = true;
		return 0;
	}
	uint32_t *place = string_place(w, text);
	const size_t at = w->strings.size;
	if (!*place && at < UINT32_MAX / 2 && append(w, &w->strings, text, strlen(text) + 1)) {
		*place = (uint32_t)at;
		w->string_count++;
	}
	return *place;
}

/* ---- modules and frames ---- */

static uint32_t module(struct writer *w, uint32_t row)
{
	if (row >= w->rows)
		return UINT32_MAX;
	if (!w->module_of[row]) {
		const struct module *m = modules_get(row);
		struct snapshot_module out = { .low = m->low, .high = m->high, .bias = m->bias, .flags = load_relaxed(&m->closed) };
		out.path = string(w, m->path);
		out.build_id_size = m->build_id_size;
		memcpy(out.build_id, m->build_id, sizeof out.build_id);
		if (append(w, &w->modules, &out, sizeof out))
			w->module_of[row] = (uint32_t)(w->modules.size / sizeof out);
	}
	return w->module_of[row] - 1; /* UINT32_MAX when there was no memory */
}

static uint32_t frame(struct writer *w, uint32_t node, uint32_t parent)
{
	struct frame_name f;
	names_frame(node, &f);
	struct snapshot_frame out = { .pc = f.pc, .parent = parent, .symbol = string(w, f.function), .offset = (uint32_t)f.offset };
	out.module = module(w, f.row);
	if (!append(w, &w->frames, &out, sizeof out))
		return 0;
	return w->frame_of[node] = (uint32_t)(w->frames.size / sizeof out) - 1;
}

/* The index of a node's frame, its callers' before it. 0: none. */
static uint32_t stack(struct writer *w, uint32_t node)
{
	uint32_t path[BACKTRACE_MOST + 1], index = 0;
	size_t n = 0;
	for (; node && node <= w->nodes && n < NELEM(path); node = depot_get(node)->parent) {
		index = w->frame_of[node];
		if (index)
			break;
		path[n++] = node;
	}
	for (bool room = true; n && room; room = index != 0)
		index = frame(w, path[--n], index);
	return index;
}

/* ---- the other sections ---- */

static void add_growth(struct writer *w, uint32_t site, uint32_t node)
{
	struct growth_point points[GROWTH_POINTS];
	for (unsigned i = 0, n = growth_points(node, points); i < n; i++) {
		const struct snapshot_growth g = { .site = site, .at_ns = points[i].at_ns, .blocks = points[i].blocks, .bytes = points[i].bytes };
		append(w, &w->growth, &g, sizeof g);
	}
}

/* Sites keep their places, which blocks refer to; those that found no room are left out at the end, and blocks with them. */
static void add_sites(struct writer *w)
{
	for (uint32_t i = 0; i < w->report->count; i++) {
		struct snapshot_site s = w->report->sites[i].s;
		const uint32_t node = s.frame;
		s.frame = stack(w, node);
		s.suppression = string(w, w->report->sites[i].suppression);
		if (!append(w, &w->sites, &s, sizeof s))
			return;
		add_growth(w, i, node);
	}
}

static void add_roots(struct writer *w)
{
	for (unsigned i = 0; i < ROOT_SHARES; i++) {
		const struct snapshot_root r = { .name = string(w, root_share_names[i]), .kind = string(w, root_share_names[i]), .bytes = roots_bytes(i) };
		if (r.bytes)
			append(w, &w->roots, &r, sizeof r);
	}
}

/* ---- writing ---- */

/* 0 or errno. A part that was written is gone on from, so that the second call says what the first met. */
static int put(int fd, const void *bytes, size_t n)
{
	for (size_t done = 0; done < n;) {
		long r = os_write_quietly(fd, (const uint8_t *)bytes + done, n - done);
		if (r <= 0)
			return r ? (int)-r : EIO;
		done += (size_t)r;
	}
	return 0;
}

struct part {
	uint32_t kind, record;
	const void *bytes;
	uint64_t count;
};

static void fill_header(struct writer *w, struct snapshot_header *h, const char *why)
{
	const struct report *r = w->report;
	static LARGE char command[COMMAND_ROOM], path[PATH_ROOM]; /* names_lock is held */
	struct heap_totals heap;
	struct backtrace_totals stacks = { 0 };
	heap_totals(&heap);
	backtrace_totals(&stacks);
	memcpy(h->magic, SNAPSHOT_MAGIC, sizeof h->magic);
	h->major = SNAPSHOT_MAJOR;
	h->minor = SNAPSHOT_MINOR;
	h->flags = r->complete ? SNAPSHOT_COMPLETE : 0;
	h->made_ns = os_real_ns();
	h->started_ns = report_started_ns();
	h->pid = (uint32_t)os_pid();
	h->parent = (uint32_t)os_parent();
	for (uint32_t i = 0; i < r->count; i++)
		for (unsigned k = 0; k < KINDS; k++) {
			h->live_blocks += r->sites[i].s.kind[k].blocks;
			h->live_bytes += r->sites[i].s.kind[k].bytes;
		}
	h->heap_bytes = heap.mapped;
	h->rss_bytes = program_rss();
	h->cycles = load_relaxed(&stats.cycles);
	h->captures = stacks.captures;
	h->sample_bytes = sites_sampled();
	h->program = string(w, program_path(path, sizeof path));
	h->command = string(w, program_command(command, sizeof command));
	h->why = string(w, why);
	h->machine = string(w, CONFIG_MACHINE);
}

static uint64_t block_count(const struct writer *w)
{
	return w->report->blocks && w->sites.size / sizeof(struct snapshot_site) == w->report->count ? w->report->block_count : 0;
}

static int put_all(struct writer *w, int fd, const char *why)
{
	static const uint8_t zeros[8];
	const struct growth_looks g = growth_looks();
	const struct snapshot_looks looks = { options.interval * 1000000000ull, g.count, g.first_ns, g.last_ns };
	struct snapshot_header h = { .sections = SECTIONS };
	struct snapshot_section table[SECTIONS];
	fill_header(w, &h, why); /* before the strings are final */
	const struct part parts[SECTIONS] = {
		{ SECTION_STRINGS, 1, w->strings.at, w->strings.size },
		{ SECTION_MODULES, sizeof(struct snapshot_module), w->modules.at, w->modules.size / sizeof(struct snapshot_module) },
		{ SECTION_FRAMES, sizeof(struct snapshot_frame), w->frames.at, w->frames.size / sizeof(struct snapshot_frame) },
		{ SECTION_SITES, sizeof(struct snapshot_site), w->sites.at, w->sites.size / sizeof(struct snapshot_site) },
		{ SECTION_ROOTS, sizeof(struct snapshot_root), w->roots.at, w->roots.size / sizeof(struct snapshot_root) },
		{ SECTION_GROWTH, sizeof(struct snapshot_growth), w->growth.at, w->growth.size / sizeof(struct snapshot_growth) },
		{ SECTION_LOOKS, sizeof looks, &looks, 1 },
		{ SECTION_BLOCKS, sizeof(struct snapshot_block), w->report->blocks, block_count(w) },
	};
	h.size = sizeof h + sizeof table;
	for (unsigned i = 0; i < SECTIONS; i++) {
		table[i] = (struct snapshot_section){ parts[i].kind, parts[i].record, h.size, parts[i].count };
		h.size += align_up(parts[i].count * parts[i].record, 8);
	}
	h.flags |= (w->cut || w->report->cut ? SNAPSHOT_CUT : 0) | (parts[SECTIONS - 1].count ? SNAPSHOT_BLOCKS : 0);
	int error = put(fd, &h, sizeof h);
	error = error ? error : put(fd, table, sizeof table);
	for (unsigned i = 0; i < SECTIONS && !error; i++) {
		const size_t n = parts[i].count * parts[i].record;
		error = put(fd, parts[i].bytes, n);
		error = error ? error : put(fd, zeros, align_up(n, 8) - n);
	}
	return error;
}

int report_write(const struct report *r, int fd, const char *why)
{
	struct writer w = { .report = r };
	int error = ENOMEM;
	names_lock();
	if (begin(&w)) {
		add_sites(&w);
		add_roots(&w);
		error = put_all(&w, fd, why);
	}
	end(&w);
	names_unlock();
	return error;
}
