/*
 * Names of frames, and ids of sites that are the same in each run.
 *
 * An id is the hash of "function+offset|" for each frame, outermost first, so that the id of a node goes on from its parent's: each node
 * is hashed once, however many stacks share it. Where no function is known the file's name and the offset in it take its place,
 * so ids change when symbols are added to a file or a file is rebuilt, and with nothing else. Generated code has no name and no offset
 * that would be the same again: it counts as "?".
 */
#include "report/names.h"
#include "report/report.h"
#include "backtrace/symbols.h"
#include "base/lock.h"
#include "base/text.h"
#include "heap/heap.h"
#include "os/os.h"

#include <string.h>

enum { PATIENCE_NS = 100000, PATIENCE = 20000 /* two seconds */, NODES_MORE = 4096, VERSIONED_MOST = 128 };

static struct lock lock = LOCK_INIT(RANK_LEAF);
static uint64_t *ids;   /* under lock: by node, 0 not known yet. No id is an address, so scanning it holds nothing */
static size_t ids_room; /* under lock */

void names_lock(void) { lock_take(&lock); }

bool names_lock_soon(void)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (lock_try(&lock))
			return true;
		os_sleep_ns(PATIENCE_NS);
	}
	return false;
}

void names_unlock(void)
{
	symbols_drop();
	lock_drop(&lock);
}

void names_unlock_keeping(void) { lock_drop(&lock); }

/* Tables that somebody was changing, who is not here, are as they were at some instruction: they are begun anew. */
void names_forked(void)
{
	if (lock_is_held(&lock)) {
		symbols_forked();
		ids = NULL;
		ids_room = 0;
	}
	lock_reset(&lock);
}

const char *names_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Without the version that a linker adds (memcpy@@GLIBC_2.14): whether it is there depends on which table the name was found in. */
static const char *unversioned(const char *name)
{
	static LARGE char cut[BACKTRACE_MOST][VERSIONED_MOST]; /* under lock; in turn, so that those of a whole stack stay */
	static unsigned turn;
	const char *at = strchr(name, '@');
	if (!at || at == name || (size_t)(at - name) >= sizeof cut[0])
		return name;
	char *out = cut[turn++ % BACKTRACE_MOST];
	text_format(out, sizeof cut[0], "%.*s", (int)(at - name), name);
	return out;
}

void names_module(uint32_t node, struct frame_name *f)
{
	const struct depot_node *n = depot_get(node);
	const uintptr_t pc = depot_pc(node), call = pc - 1;
	const uint32_t row = symbols_module(node);
	*f = (struct frame_name){ .offset = call, .place = call, .pc = pc, .parent = n->parent, .row = row };
	if (row == MODULE_NONE)
		return;
	const struct module *m = modules_get(row);
	f->module = m->path;
	f->place = f->offset = call - m->bias;
}

void names_frame(uint32_t node, struct frame_name *f)
{
	const char *name = NULL, *module = NULL;
	uintptr_t offset = 0;
	names_module(node, f);
	if (!f->module)
		return;
	if (symbols_of_node(node, &name, &offset, &module) && *name) {
		f->function = unversioned(name);
		f->offset = offset;
	}
}

static uint64_t hash_frame(uint64_t hash, uint32_t node)
{
	struct frame_name f;
	char offset[24];
	names_frame(node, &f);
	if (!f.module) /* code that a program made: where in its page, which another run has too; ids hold no address */
		return names_hash(hash, offset, text_format(offset, sizeof offset, "?+%lx|", depot_pc(node) % OS_PAGE));
	const char *name = f.function ? f.function : names_last_part(f.module);
	hash = names_hash(hash, name, strlen(name));
	return names_hash(hash, offset, text_format(offset, sizeof offset, "+%lx|", f.offset));
}

/* false: there is no memory, ids are made anew each time. */
static bool remember(uint32_t node)
{
	if (node < ids_room)
		return true;
	size_t room = align_up((size_t)depot_count() + NODES_MORE, OS_PAGE / 8);
	uint64_t *more = ids ? os_remap(ids, ids_room * 8, room * 8) : os_map(room * 8);
	if (more) {
		ids = more;
		ids_room = room;
	}
	return node < ids_room;
}

uint64_t names_site_id(uint32_t node)
{
	uint32_t path[BACKTRACE_MOST + 1];
	size_t n, more;
	const bool kept = remember(node);
	uint64_t id;
	do { /* of a deep recursion the outermost frames first, so many at a time */
		uint32_t at = node;
		for (n = 0; at && !(kept && ids[at]); at = depot_get(at)->parent)
			path[n++ % NELEM(path)] = at;
		id = at && kept ? ids[at] : NAMES_HASH;
		more = n > NELEM(path) ? n - NELEM(path) : 0;
		while (n > more) {
			id = hash_frame(id, path[--n % NELEM(path)]);
			id = id ? id : 1;
			if (kept)
				ids[path[n % NELEM(path)]] = id;
		}
	} while (more && kept);
	return node ? id : 0;
}

uint64_t report_site_id(uint32_t node)
{
	names_lock();
	uint64_t id = names_site_id(node);
	names_unlock_keeping();
	return id;
}
