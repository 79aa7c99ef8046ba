/*
 * Other allocators in the same process.
 *
 *   search order:   program ─▶ (earlier preloads) ─▶ libcgc ─▶ libraries: libjemalloc, libstdc++ ... ─▶ libc
 *                      a                                           b
 *
 * a. malloc is defined before us. The program's calls go there, and so do those of its libraries; its blocks lie outside the arena and
 *    are left alone. What such a malloc hands on to us (by RTLD_NEXT or __libc_malloc) is served and collected as ever.
 * b. An allocator behind us: its malloc family, operator new and delete included, is ours. Blocks that its own interface makes
 *    (mallocx, tc_malloc) may come to our free, and are handed on to its free. Behind us may also be a library that replaces
 *    operator new alone: then ours hands on every call, because its counters or pools are what the program means.
 *
 * A pointer that is not ours: if the next malloc is another's, it is handed on, to be judged there. Else it is libc's (chunk.c), which frees it,
 * or no malloc's: misuse. Where the program has a malloc of its own, it is left alone. The next functions are looked up once, when first
 * needed: dlsym may allocate, which is served by us meanwhile.
 *
 * An allocator behind us that looks for libc's free to hand on to finds ours (lookup.c): what comes back so while it is handed on is libc's.
 */
#include "preload/kin.h"
#include "preload/lookup.h"
#include "heap/hooks.h"
#include "base/stats.h"
#include "os/os.h"
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

struct functions {
	void (*free)(void *);
	void *(*realloc)(void *, size_t);
	size_t (*usable)(void *);
};
static struct {
	struct functions next, libcs;
	bool other; /* the next malloc is not libc's */
	bool ready; /* atomic: released after the rest */
} behind;
static __thread bool handing_on; /* a call of the next malloc's is under way */

/* Start of the object that holds an address; NULL: none. */
static const void *object_of(const void *address)
{
	Dl_info info;
	return address && dladdr(address, &info) ? info.dli_fbase : NULL;
}

static void look_up(void)
{
	if (LIKELY(load_acquire(&behind.ready)))
		return;
	behind.next.free = (void (*)(void *))lookup_behind("free");
	behind.next.realloc = (void *(*)(void *, size_t))lookup_behind("realloc");
	behind.next.usable = (size_t (*)(void *))lookup_behind("malloc_usable_size");
	behind.libcs.free = (void (*)(void *))lookup_libcs("free");
	behind.libcs.realloc = (void *(*)(void *, size_t))lookup_libcs("realloc");
	behind.libcs.usable = (size_t (*)(void *))lookup_libcs("malloc_usable_size");
	behind.other = behind.next.free && object_of((void *)behind.next.free) != object_of(lookup_behind("gnu_get_libc_version"));
	store_release(&behind.ready, true);
}

/* Whose functions a pointer is for that is not ours; NULL: nobody's. */
static const struct functions *owner_of(const void *p)
{
	look_up();
	if (behind.other && !handing_on)
		return &behind.next;
	return !os_is_confined() && chunk_is_glibcs(p) && behind.libcs.free && behind.libcs.realloc && behind.libcs.usable ? &behind.libcs : NULL;
}

/* A filter may kill for a look at it. */
static bool foreign_known(const void *p) { return stats.malloc_elsewhere || os_is_confined() || owner_of(p); }

/* Counted by the heap. */
static void foreign_free(void *p)
{
	const struct functions *f = owner_of(p);
	if (!f)
		return;
	const bool before = handing_on;
	handing_on = true;
	f->free(p);
	handing_on = before;
}

static void *foreign_realloc(void *p, size_t size)
{
	const struct functions *f = owner_of(p);
	if (!f || !f->realloc)
		return NULL;
	const bool before = handing_on;
	handing_on = true;
	void *q = f->realloc(p, size);
	handing_on = before;
	return q;
}

static size_t foreign_usable(const void *p)
{
	const struct functions *f = owner_of(p);
	if (!f || !f->usable)
		return 0;
	const bool before = handing_on;
	handing_on = true;
	const size_t n = f->usable((void *)p);
	handing_on = before;
	return n;
}

/* The loader's answer may also be the stub of a program that takes the address of an imported function: no definition. */
bool kin_replaced(const char *name, const void *own)
{
	Dl_info info;
	const ElfW(Sym) *symbol = NULL;
	void *seen = lookup_in(RTLD_DEFAULT, name);
	if (!seen || seen == own)
		return false;
	return !dladdr1(seen, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol || symbol->st_shndx != SHN_UNDEF;
}

/* The file whose malloc the program calls instead of ours. */
static const char *malloc_elsewhere(void)
{
	static STEADY char path[256];
	Dl_info info;
	if (!kin_replaced("malloc", (void *)own_malloc))
		return NULL;
	if (!dladdr(lookup_in(RTLD_DEFAULT, "malloc"), &info) || !info.dli_fname)
		return "unknown";
	__builtin_strncpy(path, info.dli_fname, sizeof path - 1);
	return path;
}

/* Behind us, operator new belongs to the C++ library, to a whole allocator, or to nobody yet. */
static bool next_new_is_no_replacement(void)
{
	void *new = lookup_behind("_Znwm");
	const void *object = object_of(new);
	return !new || object == object_of(lookup_behind("__cxa_allocate_exception")) || object == object_of(lookup_behind("malloc"));
}

bool kin_new_is_ours(void)
{
	return !kin_replaced("malloc", (void *)own_malloc) && new_is_not_replaced() && next_new_is_no_replacement();
}

void kin_start(void)
{
	heap_hooks.foreign_known = foreign_known;
	heap_hooks.foreign_free = foreign_free;
	heap_hooks.foreign_realloc = foreign_realloc;
	heap_hooks.foreign_usable = foreign_usable;
	stats.malloc_elsewhere = malloc_elsewhere();
	new_start();
}
