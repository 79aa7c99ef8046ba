/*
 * Modules and their data segments, listed by dl_iterate_phdr at start and after dlopen and dlclose, never while threads are
 * stopped: it waits for whoever holds the loader's lock.
 *
 * Two tables take turns: a listing fills the one that is not shown, then shows it by one release store, so that readers (report,
 * stack walker, handlers) take no lock. A reader that is slower than a whole further listing could see the table being
 * refilled; it notices by the generation and says "none". Names are kept for ever, once each.
 *
 * One listing at a time; who comes meanwhile leaves a note and the lister goes round again. roots=segments refuses to judge while
 * a listing is under way, and when the loader's list is not the one that the listing was made from: a dlopen is not wrapped at its
 * end, so the cycle lists before its stop, and a dlopen that slips in between ends that cycle.
 */
#include "roots/inside.h"
#include "backtrace/modules.h"
#include "base/text.h"
#include "os/os.h"
#include "roots/roots.h"

#include <link.h>
#include <string.h>

enum {
	SEGMENTS = 4096,         /* a process of 1,000 libraries has 4 segments each */
	NAME_BYTES = 256 * 1024
};

struct segment {
	uintptr_t low, high, bias;
	const char *name;
	bool writable, own;
};
struct listing {
	size_t count;
	bool full;               /* more segments than the table holds */
	uint64_t modules;        /* the loader's list when this was made: loader_sum; 0 it was changing */
	struct segment at[SEGMENTS];
};
static struct listing *tables; /* two, in one own mapping */
static char *names;
static size_t names_used;
static struct listing *shown;  /* atomic; release pairs with the readers' acquire */
static uint32_t generation;    /* atomic: rises before a table is refilled */
static uint32_t listing;       /* atomic: 0 nobody, 1 under way, 2 once more */

/* The loader gives the program itself no name. */
static const char *program_path(void)
{
	static STEADY char path[512];
	if (!path[0]) {
		long n = os_readlink("/proc/self/exe", path, sizeof path - 1);
		if (n <= 0)
			return "[program]"; /* no /proc */
	}
	return path;
}

static const char *name_kept(const char *name)
{
	size_t n = strlen(name) + 1;
	for (size_t at = 0; at < names_used; at += strlen(names + at) + 1)
		if (strcmp(names + at, name) == 0)
			return names + at;
	if (names_used + n > NAME_BYTES)
		return "?";
	memcpy(names + names_used, name, n);
	names_used += n;
	return names + names_used - n;
}

/* Is this the shared library that cgc was loaded from? A program that links the core statically keeps its own data. */
static bool own_library(const struct dl_phdr_info *info)
{
	const char *slash = strrchr(info->dlpi_name, '/');
	if (strncmp(slash ? slash + 1 : info->dlpi_name, "libcgc.so", 9) != 0)
		return false;
	uintptr_t here = (uintptr_t)&roots_list_segments;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		if (info->dlpi_phdr[i].p_type == PT_LOAD && here - low < info->dlpi_phdr[i].p_memsz)
			return true;
	}
	return false;
}

/*
 * A sum over the loader's list of modules (link_map). Inside a stop it is read without its lock and without faulting: somebody may be in
 * the middle of a change, which r_state tells. 0: changing, or unreadable.
 */
static uint64_t sum_by(long (*read)(void *buf, uintptr_t from, size_t n))
{
	struct r_debug debug = { 0 };
	struct link_map m;
	uint64_t sum = 1;
	if (read(&debug, (uintptr_t)&_r_debug, sizeof debug) != (long)sizeof debug || debug.r_state != RT_CONSISTENT)
		return 0;
	uintptr_t at = (uintptr_t)debug.r_map;
	for (unsigned n = 0; at; n++) {
		if (n == SEGMENTS || read(&m, at, sizeof m) != (long)sizeof m)
			return 0;
		sum = (sum ^ at ^ (uint64_t)m.l_addr << 1 ^ (uintptr_t)m.l_ld) * 0x9E3779B97F4A7C15u;
		sum ^= sum >> 29;
		at = (uintptr_t)m.l_next;
	}
	return sum ? sum : 1;
}

static uint64_t loader_sum(void) { return sum_by(os_read_self); }

static long read_plainly(void *buf, uintptr_t from, size_t n)
{
	memcpy(buf, (const void *)from, n);
	return (long)n;
}

/* dl_iterate_phdr holds the lock under which modules enter the loader's list and leave it. */
static int take_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct listing *l = arg;
	if (!l->count && !l->modules)
		l->modules = sum_by(read_plainly);
	bool own = own_library(info);
	const char *name = name_kept(info->dlpi_name);
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type != PT_LOAD || !h->p_memsz)
			continue;
		if (l->count == SEGMENTS) {
			l->full = true;
			return 0;
		}
		uintptr_t low = info->dlpi_addr + h->p_vaddr;
		l->at[l->count++] = (struct segment){ low, low + h->p_memsz, info->dlpi_addr, name, h->p_flags & PF_W, own };
	}
	return 0;
}

static bool copied; /* this is a child of fork */
uint8_t roots_loader_used;

void roots_list_segments_again(void)
{
	if ((!copied || load_relaxed(&roots_loader_used)) && !threads_aside())
		roots_list_segments();
}

static void list(void)
{
	if (modules_generation()) /* stacks are recorded: the table of modules changes with this one */
		modules_list();
	uint32_t idle = 0;
	if (!cas(&listing, &idle, 1)) {
		uint32_t running = 1;
		if (cas(&listing, &running, 2) || running == 2)
			return;
		idle = 0; /* the other one has just finished */
		if (!cas(&listing, &idle, 1))
			return;
	}
	if (!tables) {
		names = os_map(NAME_BYTES);
		tables = names ? os_map(align_up(2 * sizeof *tables, 4096)) : NULL;
	}
	for (uint32_t under_way = 1; tables;) {
		struct listing *next = load_relaxed(&shown) == tables ? tables + 1 : tables;
		store_release(&listing, 1);
		__atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
		next->count = 0;
		next->full = false;
		next->modules = 0;
		if (modules_iterate(take_module, next)) /* else who forks lists when it has */
			store_release(&shown, next);
		under_way = 1;
		if (cas(&listing, &under_way, 0))
			return;
	}
	store_release(&listing, 0);
}

/* Signals are blocked while the loader's lock may be held here: a handler that forked on top would leave it held in the child for ever, or
 * whoever left by longjmp. */
void roots_list_segments(void)
{
	struct roots_guard guard;
	roots_guard_enter(&guard);
	list();
	roots_guard_leave(&guard);
}

void roots_list_opened(void)
{
	const struct listing *l = load_acquire(&shown);
	if (!l || !l->modules || l->modules != loader_sum())
		roots_list_segments();
}

/* A table is refilled by the listing after the one that took it out of sight, so it holds still while no listing begins. */
static bool look_up(uintptr_t address, const char **name, uintptr_t *offset, bool *still)
{
	uint32_t before = load_acquire(&generation);
	const struct listing *l = load_acquire(&shown);
	bool found = false;
	for (size_t i = 0; l && i < l->count && !found; i++) {
		struct segment s = l->at[i];
		if (address - s.low >= s.high - s.low)
			continue;
		*name = s.name[0] ? s.name : program_path();
		*offset = address - s.bias;
		found = true;
	}
	/* The addition of nothing keeps the loads above before it. */
	*still = __atomic_fetch_add(&generation, 0, __ATOMIC_ACQ_REL) == before;
	return found;
}

bool roots_module_of(uintptr_t address, const char **name, uintptr_t *offset)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		bool still, found = look_up(address, name, offset, &still);
		if (still)
			return found;
	}
	return false;
}

const char *roots_place(char *buf, size_t cap, uintptr_t caller)
{
	const char *module;
	uintptr_t offset;
	if (!caller) {
		text_format(buf, cap, "a place that was not recorded");
	} else if (roots_module_of(caller - 1, &module, &offset)) { /* a return address: the call is before it */
		size_t length = strlen(module), most = cap - 24; /* of a long path the end is what tells most, and the offset must fit */
		text_format(buf, cap, "%s%s+0x%lx", length > most ? "..." : "", length > most ? module + length - most : module, offset);
	} else {
		text_format(buf, cap, "0x%lx", caller);
	}
	return buf;
}

void segments_start(void) { roots_list_segments(); }

bool segments_listing(void)
{
	const struct listing *l = load_acquire(&shown);
	return !l || l->full || load_acquire(&listing) != 0 || l->modules == 0 || l->modules != loader_sum();
}

void segments_each(void (*fn)(uintptr_t low, uintptr_t high))
{
	const struct listing *l = load_acquire(&shown);
	for (size_t i = 0; l && i < l->count; i++)
		if (l->at[i].writable && !l->at[i].own)
			fn(l->at[i].low, l->at[i].high);
}

void segments_own(void (*fn)(uintptr_t low, uintptr_t high))
{
	const struct listing *l = load_acquire(&shown);
	for (size_t i = 0; l && i < l->count; i++)
		if (l->at[i].writable && l->at[i].own)
			fn(l->at[i].low, l->at[i].high);
}

void segments_memory(void (*fn)(uintptr_t low, uintptr_t high))
{
	if (tables) {
		fn((uintptr_t)tables, (uintptr_t)(tables + 2));
		fn((uintptr_t)names, (uintptr_t)names + NAME_BYTES);
	}
}

/* The thread that was listing may not exist in the child. */
void segments_forked(void)
{
	store_release(&listing, 0);
	copied = true;
	store_relaxed(&roots_loader_used, 0);
	modules_forked();
}
