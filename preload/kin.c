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
 * A pointer that nobody's is known to be: free leaves it alone when the next free is libc's, for libc made no block here, and would
 * abort. The next functions are looked up once, when first needed: dlsym may allocate, which is served by us meanwhile.
 */
#include "preload/kin.h"
#include "heap/hooks.h"
#include "base/stats.h"
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

static struct {
	void (*free)(void *);
	void *(*realloc)(void *, size_t);
	size_t (*usable)(void *);
	bool other; /* the next malloc is not libc's */
	bool ready; /* atomic: released after the rest */
} next;

/* Start of the object that holds an address; NULL: none. */
static const void *object_of(const void *address)
{
	Dl_info info;
	return address && dladdr(address, &info) ? info.dli_fbase : NULL;
}

static void look_up(void)
{
	if (LIKELY(load_acquire(&next.ready)))
		return;
	next.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	next.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	next.usable = (size_t (*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
	next.other = object_of((void *)next.free) != object_of(dlsym(RTLD_NEXT, "gnu_get_libc_version"));
	store_release(&next.ready, true);
}

/* Counted by the heap. */
static void foreign_free(void *p)
{
	look_up();
	if (next.other && next.free)
		next.free(p);
}

static void *foreign_realloc(void *p, size_t size)
{
	look_up();
	return next.realloc ? next.realloc(p, size) : NULL;
}

static size_t foreign_usable(const void *p)
{
	look_up();
	return next.other && next.usable ? next.usable((void *)p) : 0;
}

/* The loader's answer may also be the stub of a program that takes the address of an imported function: no definition. */
bool kin_replaced(const char *name, const void *own)
{
	Dl_info info;
	const ElfW(Sym) *symbol = NULL;
	void *seen = dlsym(RTLD_DEFAULT, name);
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
	if (!dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) || !info.dli_fname)
		return "unknown";
	__builtin_strncpy(path, info.dli_fname, sizeof path - 1);
	return path;
}

/* Behind us, operator new belongs to the C++ library, to a whole allocator, or to nobody yet. */
static bool next_new_is_no_replacement(void)
{
	void *new = dlsym(RTLD_NEXT, "_Znwm");
	const void *object = object_of(new);
	return !new || object == object_of(dlsym(RTLD_NEXT, "__cxa_allocate_exception")) || object == object_of(dlsym(RTLD_NEXT, "malloc"));
}

bool kin_new_is_ours(void)
{
	return !kin_replaced("malloc", (void *)own_malloc) && new_is_not_replaced() && next_new_is_no_replacement();
}

void kin_start(void)
{
	heap_hooks.foreign_free = foreign_free;
	heap_hooks.foreign_realloc = foreign_realloc;
	heap_hooks.foreign_usable = foreign_usable;
	stats.malloc_elsewhere = malloc_elsewhere();
	new_start();
}
