/*
 * From stacks to names.
 *
 *   1. Modules of all snapshots become objects, the same file in several processes one object.
 *   2. The stacks of the chosen sites are walked; each address becomes a code, sorted by object and address, each once.
 *   3. Objects that are used are located; tools are asked once for all codes (lines.c).
 *   4. What they don't know is named by the object's symbol table, else by what the snapshot says.
 *   5. Mangled names are demangled in one more batch, and the stacks walked again to make frames.
 *
 * A frame's pc is a return address: the call is the instruction before it, so pc - 1 is what names are asked for.
 */
#include "symbols.h"
#include "tool.h"
#include "progress.h"
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct batch {
	struct object **objects;   /* of all snapshots, each once */
	size_t object_count;
	struct object ***object_of; /* by snapshot and module */
	struct code *codes;
	size_t count, room;
	bool short_of_memory;
};

/* ---- step 1 ---- */

static struct object *object_for(struct batch *b, const struct snapshot *s, const struct snapshot_module *m)
{
	const char *path = keep_clean(snapshot_string(s, m->path));
	for (size_t i = 0; i < b->object_count; i++) {
		struct object *o = b->objects[i];
		if (!strcmp(o->path, path) && o->id_size == m->build_id_size && !memcmp(o->id, m->build_id, m->build_id_size))
			return o;
	}
	struct object *o = calloc(1, sizeof(*o));
	struct object **more = realloc((void *)b->objects, (b->object_count + 1) * sizeof(void *));
	if (more)
		b->objects = more;
	if (!o || !more) {
		free(o);
		return NULL;
	}
	*o = (struct object){ .path = path, .id_size = m->build_id_size, .started_ns = s->head.started_ns };
	memcpy(o->id, m->build_id, sizeof(o->id));
	for (unsigned i = 0; i < o->id_size; i++)
		snprintf(o->id_text + 2 * i, 3, "%02x", o->id[i]);
	return b->objects[b->object_count++] = o;
}

static bool list_objects(struct batch *b, const struct view *v)
{
	b->object_of = calloc(v->source_count + 1, sizeof(void *));
	for (size_t i = 0; b->object_of && i < v->source_count; i++) {
		const struct snapshot *s = &v->sources[i].s;
		uint64_t n = snapshot_count(s, SECTION_MODULES);
		if (!(b->object_of[i] = calloc(n + 1, sizeof(void *))))
			return false;
		for (uint64_t k = 0; k < n; k++) {
			struct snapshot_module m;
			snapshot_record(s, SECTION_MODULES, k, &m, sizeof(m));
			if (!(b->object_of[i][k] = object_for(b, s, &m)))
				return false;
		}
	}
	return b->object_of != NULL;
}

/* ---- step 2 ---- */

static struct code code_of(const struct batch *b, const struct view *v, const struct view_site *site, const struct snapshot_frame *f)
{
	const struct snapshot *s = &v->sources[site->source].s;
	struct code c = { .address = f->pc - 1, .symbol = snapshot_string(s, f->symbol), .offset = f->offset };
	if (f->module != UINT32_MAX) {
		struct snapshot_module m;
		snapshot_record(s, SECTION_MODULES, f->module, &m, sizeof(m));
		c.address -= m.bias;
		c.object = b->object_of[site->source][f->module];
	}
	return c;
}

/* Frame at and, in it, the next one outwards. false: the stack is over. */
static bool next_frame(const struct snapshot *s, uint32_t *at, struct snapshot_frame *f)
{
	if (!*at)
		return false;
	snapshot_record(s, SECTION_FRAMES, *at, f, sizeof(*f));
	*at = f->parent;
	return true;
}

static bool add_code(struct batch *b, struct code c)
{
	if (b->count == b->room) {
		size_t room = b->room ? 2 * b->room : 1024;
		struct code *more = realloc(b->codes, room * sizeof(*more));
		if (!more) {
			b->short_of_memory = true;
			return false;
		}
		b->codes = more;
		b->room = room;
	}
	b->codes[b->count++] = c;
	return true;
}

static void gather(struct batch *b, const struct view *v, const struct view_site *site)
{
	struct snapshot_frame f;
	uint32_t at = site->frame;
	bool room = true;
	for (int depth = 0; depth < STACK_MOST && room && next_frame(&v->sources[site->source].s, &at, &f); depth++)
		room = add_code(b, code_of(b, v, site, &f));
}

static struct object *object_named(const struct batch *b, const char *path)
{
	for (size_t i = 0; i < b->object_count; i++)
		if (!strcmp(b->objects[i]->path, path))
			return b->objects[i];
	return NULL;
}

static int by_object(const void *a, const void *b)
{
	const struct code *x = a, *y = b;
	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return (x->address > y->address) - (x->address < y->address);
}

static void sort_and_join(struct batch *b)
{
	size_t n = 0;
	if (b->count)
		qsort(b->codes, b->count, sizeof(*b->codes), by_object);
	for (size_t i = 0; i < b->count; i++) {
		if (!n || by_object(&b->codes[n - 1], &b->codes[i]) != 0)
			b->codes[n++] = b->codes[i];
		else if (!b->codes[n - 1].symbol[0]) /* one snapshot may know what another does not */
			b->codes[n - 1] = b->codes[i];
	}
	b->count = n;
}

/* ---- steps 3 and 4 ---- */

static void locate_objects(struct batch *b, bool debuginfod)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->codes[i].object && (!i || b->codes[i - 1].object != b->codes[i].object)) {
			object_locate(b->codes[i].object, debuginfod);
			progress_tick();
		}
}

static void name_by_tables(struct code *c)
{
	uint64_t offset = 0;
	const char *name = c->object ? object_symbol(c->object, c->address, &offset) : NULL;
	c->symbol = keep_clean(name ? name : c->symbol);
	c->offset = name ? offset : c->offset;
	if (!c->symbol[0] || (c->call_count && c->calls[c->call_count - 1].function[0]))
		return;
	if (!c->call_count && !(c->calls = calloc(1, sizeof(*c->calls))))
		return;
	if (!c->call_count)
		c->calls[c->call_count++] = (struct call){ .file = "" };
	c->calls[c->call_count - 1].function = c->symbol;
}

/* The length of an escape of Rust's older mangling, and what it stands for: $LT$ is <, $u20$ is character 0x20. 0: there is none. */
static size_t rust_escape(const char *s, char *is)
{
	static const struct { const char *escape; char is; } known[] = {
		{ "$LT$", '<' }, { "$GT$", '>' }, { "$C$", ',' }, { "$RF$", '&' }, { "$BP$", '*' }, { "$LP$", '(' }, { "$RP$", ')' }, { "$SP$", '@' },
	};
	for (size_t i = 0; i < NELEM(known); i++)
		if (!strncmp(s, known[i].escape, strlen(known[i].escape))) {
			*is = known[i].is;
			return strlen(known[i].escape);
		}
	char *end;
	unsigned long character = !strncmp(s, "$u", 2) ? strtoul(s + 2, &end, 16) : 0;
	if (character < ' ' || character > '~' || *end != '$')
		return 0;
	*is = (char)character;
	return (size_t)(end + 1 - s);
}

/* Undoes the escapes that are left where a demangler took such a name for one of C++. The result is never longer. */
static void undo_escapes(char *name)
{
	char *to = name;
	for (const char *from = name; *from;) {
		size_t length = rust_escape(from, to);
		if (length) {
			to++;
			from += length;
		} else if (!strncmp(from, "..", 2)) {
			memcpy(to, "::", 2);
			to += 2;
			from += 2;
		} else if (from[0] == '_' && from[1] == '$') {
			from++; /* only there because no identifier begins with $ */
		} else {
			*to++ = *from++;
		}
	}
	*to = 0;
}

/* Without what says nothing to a reader: the version of a symbol (name@GLIBC_2.34), and the hash that ends Rust's older names ("::h" and 16
 * digits). */
static const char *plain_name(const char *function)
{
	size_t n = strlen(function);
	if (n > 19 && !strncmp(function + n - 19, "::h", 3) && strspn(function + n - 16, "0123456789abcdef") == 16) {
		char *name = keep_text(function, n - 19);
		undo_escapes(name);
		return name;
	}
	size_t keep = strpbrk(function, "( ") ? n : strcspn(function, "@");
	return keep && keep < n ? keep_text(function, keep) : function;
}

/* ---- step 5 ---- */

static void make_frames(const struct batch *b, const struct view *v, struct view_site *site)
{
	struct snapshot_frame f;
	uint32_t at = site->frame;
	size_t room = 0;
	for (int depth = 0; depth < STACK_MOST && next_frame(&v->sources[site->source].s, &at, &f); depth++) {
		struct code key = code_of(b, v, site, &f), *c = b->count ? bsearch(&key, b->codes, b->count, sizeof(key), by_object) : NULL;
		size_t lines = c && c->call_count ? c->call_count : 1;
		if (site->frame_count + lines > room) {
			room = 2 * room + lines + 16;
			struct view_frame *more = realloc(site->frames, room * sizeof(*more));
			if (!more)
				return;
			site->frames = more;
		}
		for (size_t k = 0; k < lines; k++) {
			struct call call = c && c->call_count ? c->calls[k] : (struct call){ .function = "", .file = "" };
			site->frames[site->frame_count++] = (struct view_frame){
				.pc = f.pc, .address = key.address, .module = key.object ? key.object->path : "",
				.build_id = key.object ? key.object->id_text : "", .function = plain_name(call.function), .file = call.file,
				.line = call.line, .column = call.column, .inlined = k + 1 < lines,
				.linkage = c && k + 1 == lines ? c->symbol : "", .offset = c && k + 1 == lines && c->symbol[0] ? c->offset : 0 };
		}
	}
}

/* What was asked for by name and is not there. */
static void tell_missing(const struct symbol_choice *how)
{
	static const char *const tools[] = { [SYMBOLS_LLVM] = "llvm-symbolizer", [SYMBOLS_ADDR2LINE] = "addr2line", [SYMBOLS_TABLES] = NULL };
	static bool told;
	const char *wanted[] = { tools[how->source], how->debuginfod ? "debuginfod-find" : NULL };
	for (size_t i = 0; i < NELEM(wanted) && !told; i++) {
		const char *path = wanted[i] ? tool_find(wanted[i]) : NULL;
		if (wanted[i] && !path)
			complain("%s is not installed: names are as good as they are without it", wanted[i]);
		free((void *)(uintptr_t)path);
	}
	told = true; /* `cgc diff` comes here twice */
}

/* Steps 3, 4 and the first half of 5. */
static void name_all(struct batch *b, const struct symbol_choice *how)
{
	tell_missing(how);
	sort_and_join(b);
	locate_objects(b, how->debuginfod);
	lines_ask(b->codes, b->count, how->source);
	for (size_t i = 0; i < b->count; i++)
		name_by_tables(&b->codes[i]);
	lines_demangle(b->codes, b->count);
}

/* Objects, their symbols and their names are part of what was named from here on. */
static void drop(struct batch *b, const struct view *v)
{
	free(b->codes);
	for (size_t i = 0; b->object_of && i < v->source_count; i++)
		free((void *)b->object_of[i]);
	free((void *)b->object_of);
	free((void *)b->objects);
}

void symbols_name(struct view *v, struct place *places, size_t count, const struct symbol_choice *how)
{
	struct batch b = { 0 };
	bool room = list_objects(&b, v);
	for (size_t i = 0; i < count; i++) {
		struct object *o = room ? object_named(&b, places[i].module) : NULL;
		places[i].function = places[i].file = "";
		room = room && (!o || add_code(&b, (struct code){ .object = o, .address = places[i].address, .symbol = "" }));
	}
	name_all(&b, how);
	for (size_t i = 0; i < count; i++) {
		struct code key = { .object = object_named(&b, places[i].module), .address = places[i].address };
		const struct code *c = key.object && b.count ? bsearch(&key, b.codes, b.count, sizeof(key), by_object) : NULL;
		if (!c || !c->call_count)
			continue;
		places[i].function = plain_name(c->calls[0].function);
		places[i].file = c->calls[0].file;
		places[i].line = c->calls[0].line;
	}
	drop(&b, v);
}

void symbols_resolve(struct view *v, bool (*chosen)(const struct view_site *site, const void *arg), const void *arg, const struct symbol_choice *how)
{
	struct batch b = { 0 };
	progress_begin("reading names of functions");
	if (list_objects(&b, v)) {
		for (size_t i = 0; i < v->count; i++)
			if (!v->sites[i].frames && chosen(&v->sites[i], arg))
				gather(&b, v, &v->sites[i]);
		name_all(&b, how);
		for (size_t i = 0; i < v->count; i++)
			if (!v->sites[i].frames && chosen(&v->sites[i], arg))
				make_frames(&b, v, &v->sites[i]);
	} else {
		b.short_of_memory = true;
	}
	progress_end();
	if (b.short_of_memory)
		complain("no memory for all stacks: some are shown in part");
	drop(&b, v);
}
