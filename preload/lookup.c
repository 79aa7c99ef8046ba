/*
 * dlsym and dlvsym: what a program looks up by name is what its calls of that name reach.
 *
 *   dlsym(dlopen("libc.so.6"), "free")     libc's own free, which aborts on a block of ours (ctypes, fiddle, P/Invoke): ours instead
 *   dlsym(RTLD_DEFAULT, "free")            ours already, or that of somebody before us: as it is
 *   dlsym(RTLD_NEXT, "free")               from a module that the loader has behind us, or opened: libc's: ours instead
 *
 * By handle: the address found is looked at. If it is the definition that our wrapper of the name stands before, or one of libc's malloc
 * family whatever stands between, the answer is ours. Another allocator's functions, and another namespace's libc, are as they are.
 *
 * RTLD_NEXT and RTLD_DEFAULT look at the return address, so the call must be a jump, as dlopen's is (dl.c). What RTLD_NEXT would
 * find is judged beforehand: if no module but libc, the caller and us defines the name, it would be libc's. A wrapper of read behind us
 * asks for the next read and must not get ours, which calls it: a caller that defines the name itself gets ours only of the malloc family,
 * which calls nobody (kin.c ends the one circle, that of free).
 *
 * The real functions are found in the modules' own tables, since every other way leads to the names defined here. The library itself asks
 * by lookup_behind and lookup_in (real.h).
 */
#include "backtrace/modules.h"
#include "heap/sites.h"
#include "preload/real.h"
#include "roots/roots.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define HIDDEN __attribute__((used, visibility("hidden"))) /* what the jumps below read and call */

void *lookup_next(void *handle, const char *name, uintptr_t caller);
void *lookup_version_next(void *handle, const char *name, uintptr_t caller);
void *lookup_by_handle(void *handle, const char *name);
void *lookup_version_by_handle(void *handle, const char *name, const char *version);

HIDDEN void *(*real_dlsym)(void *handle, const char *name);
HIDDEN void *(*real_dlvsym)(void *handle, const char *name, const char *version);

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* ---- what a module defines ---- */

struct exports {
	uintptr_t base;
	const ElfW(Sym) *symbols;
	const char *strings;
	const uint32_t *gnu, *sysv;
};

/* glibc makes addresses of what stands in its modules' tables, other loaders and the vdso leave offsets. */
static const void *in_module(uintptr_t base, ElfW(Addr) value) { return (const void *)(value < base ? base + value : value); }

static bool exports_of(uintptr_t base, const ElfW(Dyn) *d, struct exports *e)
{
	*e = (struct exports){ .base = base };
	for (; d && d->d_tag != DT_NULL; d++) {
		const void *at = in_module(base, d->d_un.d_ptr);
		if (d->d_tag == DT_SYMTAB)
			e->symbols = at;
		else if (d->d_tag == DT_STRTAB)
			e->strings = at;
		else if (d->d_tag == DT_GNU_HASH)
			e->gnu = at;
		else if (d->d_tag == DT_HASH)
			e->sysv = at;
	}
	return e->symbols && e->strings && (e->gnu || e->sysv);
}

static void *if_named(const struct exports *e, uint32_t i, const char *name)
{
	const ElfW(Sym) *s = &e->symbols[i];
	return s->st_shndx != SHN_UNDEF && s->st_value && strcmp(e->strings + s->st_name, name) == 0 ? (void *)(e->base + s->st_value) : NULL;
}

/* The formats of both tables: System V ABI, chapter 5; DT_GNU_HASH as binutils writes it. */
static void *by_gnu_hash(const struct exports *e, const char *name)
{
	const uint32_t buckets = e->gnu[0], first = e->gnu[1], words = e->gnu[2], bits = sizeof(ElfW(Addr)) * 8;
	const ElfW(Addr) *bloom = (const ElfW(Addr) *)(e->gnu + 4);
	const uint32_t *bucket = (const uint32_t *)(bloom + words), *chain = bucket + buckets;
	uint32_t hash = 5381;
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (uint8_t)*c;
	const ElfW(Addr) mask = (ElfW(Addr))1 << hash % bits | (ElfW(Addr))1 << (hash >> e->gnu[3]) % bits;
	if (!buckets || !words || (bloom[hash / bits % words] & mask) != mask)
		return NULL;
	for (uint32_t i = bucket[hash % buckets]; i >= first; i++) {
		const uint32_t other = chain[i - first];
		void *found = (other | 1) == (hash | 1) ? if_named(e, i, name) : NULL;
		if (found || other & 1)
			return found;
	}
	return NULL;
}

static void *by_sysv_hash(const struct exports *e, const char *name)
{
	const uint32_t buckets = e->sysv[0], *bucket = e->sysv + 2, *chain = bucket + buckets;
	uint32_t hash = 0;
	for (const char *c = name; *c; c++) {
		hash = (hash << 4) + (uint8_t)*c;
		hash ^= hash >> 24 & 0xF0;
		hash &= 0x0FFFFFFF;
	}
	void *found = NULL;
	for (uint32_t i = buckets ? bucket[hash % buckets] : 0; i && !found; i = chain[i])
		found = if_named(e, i, name);
	return found;
}

static void *defined(const struct exports *e, const char *name) { return e->gnu ? by_gnu_hash(e, name) : by_sysv_hash(e, name); }

static void *defined_here(const char *name)
{
	struct exports e;
	return exports_of((uintptr_t)&__ehdr_start, _DYNAMIC, &e) ? defined(&e, name) : NULL;
}

static bool exports_of_module(const struct dl_phdr_info *m, struct exports *e)
{
	for (unsigned i = 0; i < m->dlpi_phnum; i++)
		if (m->dlpi_phdr[i].p_type == PT_DYNAMIC)
			return exports_of(m->dlpi_addr, (const ElfW(Dyn) *)(m->dlpi_addr + m->dlpi_phdr[i].p_vaddr), e);
	return false;
}

static bool is_this(const struct dl_phdr_info *m) { return m->dlpi_addr == (uintptr_t)&__ehdr_start; }

static bool holds(const struct dl_phdr_info *m, uintptr_t a)
{
	for (unsigned i = 0; i < m->dlpi_phnum; i++)
		if (m->dlpi_phdr[i].p_type == PT_LOAD && a - m->dlpi_addr - m->dlpi_phdr[i].p_vaddr < m->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

/* ---- the real functions ---- */

/* Those of the next module behind us; if the loader has us behind libc, of any other. */
static int find_real(struct dl_phdr_info *m, size_t size, void *behind)
{
	struct exports e;
	if (is_this(m)) {
		*(bool *)behind = true;
	} else if ((!real_dlsym || *(bool *)behind) && exports_of_module(m, &e)) {
		void *plain = defined(&e, "dlsym"), *versioned = defined(&e, "dlvsym");
		if (plain) {
			*(void **)&real_dlvsym = versioned;
			*(void **)&real_dlsym = plain;
			return *(bool *)behind;
		}
	}
	return 0;
}

static void lookup_start(void)
{
	bool behind = false;
	if (UNLIKELY(!load_relaxed(&real_dlsym)))
		dl_iterate_phdr(find_real, &behind);
}

void *lookup_behind(const char *name)
{
	lookup_start();
	void *found = real_dlsym(RTLD_NEXT, name);
	__asm__("" : "+r"(found)); /* no jump: the return address says who asks */
	return found;
}

void *lookup_in(void *handle, const char *name)
{
	lookup_start();
	return real_dlsym(handle, name);
}

/* ---- whose definition it is ---- */

/* Blocks that one of them makes may come to any other. */
static bool is_of_malloc_family(const char *name)
{
	static const char *const family[] = { "malloc", "calloc", "realloc", "reallocarray", "free", "cfree", "memalign", "aligned_alloc", "posix_memalign",
		"valloc", "pvalloc", "malloc_usable_size", "malloc_trim", "mallinfo", "mallinfo2", "mallopt", "malloc_stats", "malloc_info", "free_sized", "free_aligned_sized",
		"__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign", "__libc_valloc", "__libc_pvalloc" };
	for (size_t i = 0; i < NELEM(family); i++)
		if (strcmp(name, family[i]) == 0)
			return true;
	return false;
}

/* By a name that no library but the C library defines. */
static uintptr_t place_in_libc(void)
{
	static STEADY uintptr_t at;
	if (!load_relaxed(&at)) {
		void *p = lookup_behind("gnu_get_libc_version");
		store_relaxed(&at, (uintptr_t)(p ? p : (void *)abort));
	}
	return load_relaxed(&at);
}

static bool is_libcs(const void *p)
{
	Dl_info at, libc;
	return dladdr(p, &at) && dladdr((void *)place_in_libc(), &libc) && at.dli_fbase == libc.dli_fbase;
}

struct wanted {
	const char *name;
	void *found;
};

static int find_libcs(struct dl_phdr_info *m, size_t size, void *arg)
{
	struct wanted *w = arg;
	struct exports e;
	if (!holds(m, place_in_libc()))
		return 0;
	w->found = exports_of_module(m, &e) ? defined(&e, w->name) : NULL;
	return 1;
}

void *lookup_libcs(const char *name)
{
	struct wanted w = { name, NULL };
	lookup_start();
	modules_iterate(find_libcs, &w);
	return w.found;
}

struct judged {
	const char *name;
	uintptr_t caller, loader;
	uintptr_t next;      /* the definition behind us */
	bool family;
	bool behind;         /* this module was met */
	bool caller_behind;  /* the caller was met after it */
	bool here;           /* libc defines it */
	bool other;          /* and so does somebody whose definition may be the next one */
};

static int judge(struct dl_phdr_info *m, size_t size, void *arg)
{
	struct judged *j = arg;
	struct exports e;
	const bool calls = holds(m, j->caller);
	if (is_this(m)) {
		j->behind = true;
		return calls;
	}
	j->caller_behind |= calls && j->behind;
	if (m->dlpi_addr == j->loader || !exports_of_module(m, &e) || !defined(&e, j->name))
		return 0;
	if (holds(m, place_in_libc()))
		j->here = true;
	else if (j->behind && (!j->family || !(calls || (j->next && holds(m, j->next)))))
		j->other = true;
	return 0;
}

/* What RTLD_NEXT is to answer to this caller; NULL: the real function shall. */
HIDDEN void *lookup_next(void *handle, const char *name, uintptr_t caller)
{
	lookup_start();
	void *own = handle == RTLD_NEXT ? defined_here(name) : NULL;
	if (!own)
		return NULL;
	struct judged j = { .name = name, .caller = caller, .loader = getauxval(AT_BASE), .family = is_of_malloc_family(name) };
	j.next = j.family ? (uintptr_t)lookup_behind(name) : 0;
	return modules_iterate(judge, &j) && j.caller_behind && j.here && !j.other ? own : NULL;
}

/* Other names have old versions that behave otherwise (timer_create). */
HIDDEN void *lookup_version_next(void *handle, const char *name, uintptr_t caller)
{
	lookup_start();
	return is_of_malloc_family(name) ? lookup_next(handle, name, caller) : NULL;
}

/* What a lookup by handle found; the answer to it. */
static void *answer(void *found, const char *name)
{
	void *own = found ? defined_here(name) : NULL;
	if (!own || own == found)
		return found;
	if (is_of_malloc_family(name) && is_libcs(found))
		return own;
	void *next = lookup_behind(name);
	if (!next)
		dlerror(); /* of the call above: the program's own found something */
	return next == found ? own : found;
}

/* dlopen does not tell of its end (dl.c). A library that was just opened is looked at by name next, as a rule: recorded stacks lead through it from now on,
 * and its place may be another's that was closed. */
static void list_opened(void)
{
	if (LIKELY(!sites_on()))
		return;
	const int saved = errno;
	roots_list_opened();
	errno = saved;
}

HIDDEN void *lookup_by_handle(void *handle, const char *name)
{
	lookup_start();
	list_opened();
	return answer(real_dlsym(handle, name), name);
}

HIDDEN void *lookup_version_by_handle(void *handle, const char *name, const char *version)
{
	lookup_start();
	list_opened();
	return answer(real_dlvsym(handle, name, version), name);
}

#if defined __x86_64__
/* RTLD_NEXT is -1, RTLD_DEFAULT 0; no handle is either. Three pushes of 8 make the stack even. */
#define JUMP(name, by_handle, next) \
	__asm__(".text\n" \
		".globl " #name "\n" \
		".type " #name ", @function\n" \
		".p2align 4\n" \
		#name ":\n" \
		"	.cfi_startproc\n" \
		"	endbr64\n" \
		"	leaq 1(%rdi), %rax\n" \
		"	cmpq $1, %rax\n" \
		"	ja " #by_handle "@PLT\n" \
		"	movq (%rsp), %rax\n" \
		"	pushq %rdi\n	.cfi_adjust_cfa_offset 8\n" \
		"	pushq %rsi\n	.cfi_adjust_cfa_offset 8\n" \
		"	pushq %rdx\n	.cfi_adjust_cfa_offset 8\n" \
		"	movq %rax, %rdx\n" \
		"	call " #next "@PLT\n" \
		"	popq %rdx\n	.cfi_adjust_cfa_offset -8\n" \
		"	popq %rsi\n	.cfi_adjust_cfa_offset -8\n" \
		"	popq %rdi\n	.cfi_adjust_cfa_offset -8\n" \
		"	testq %rax, %rax\n" \
		"	jne 1f\n" \
		"	jmp *real_" #name "(%rip)\n" \
		"1:	ret\n" \
		"	.cfi_endproc\n" \
		".size " #name ", . - " #name "\n")
#elif defined __aarch64__
#define JUMP(name, by_handle, next) \
	__asm__(".text\n" \
		".globl " #name "\n" \
		".type " #name ", %function\n" \
		".p2align 4\n" \
		#name ":\n" \
		"	.cfi_startproc\n" \
		"	hint #34\n" \
		"	add x16, x0, #1\n" \
		"	cmp x16, #1\n" \
		"	b.hi " #by_handle "\n" \
		"	stp x29, x30, [sp, #-48]!\n" \
		"	.cfi_adjust_cfa_offset 48\n" \
		"	.cfi_rel_offset x30, 8\n" \
		"	stp x0, x1, [sp, #16]\n" \
		"	str x2, [sp, #32]\n" \
		"	mov x2, x30\n" \
		"	bl " #next "\n" \
		"	mov x16, x0\n" \
		"	ldr x2, [sp, #32]\n" \
		"	ldp x0, x1, [sp, #16]\n" \
		"	ldp x29, x30, [sp], #48\n" \
		"	.cfi_adjust_cfa_offset -48\n" \
		"	.cfi_restore x30\n" \
		"	cbnz x16, 1f\n" \
		"	adrp x16, real_" #name "\n" \
		"	ldr x16, [x16, #:lo12:real_" #name "]\n" \
		"	br x16\n" \
		"1:	mov x0, x16\n" \
		"	ret\n" \
		"	.cfi_endproc\n" \
		".size " #name ", . - " #name "\n")
#else
#error "dlsym's jump is to be written for this machine"
#endif
JUMP(dlsym, lookup_by_handle, lookup_next);
JUMP(dlvsym, lookup_version_by_handle, lookup_version_next);
