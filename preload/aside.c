/*
 * Stepping aside for programs with a sanitizer: the program starts anew without us.
 *
 * A sanitizer replaces malloc, lays out the address space and insists on being the first library. With us before it, AddressSanitizer
 * refuses to run, ThreadSanitizer crashes, MemorySanitizer leaves no room for a heap. All that begins before any
 * constructor of ours could run. But the loader runs the resolvers of indirect functions while it relocates libraries, before the
 * program's own code and that of any library; there,
 *
 *   1. weak references tell whether a sanitizer's runtime is in the process (the loader has bound them already);
 *   2. our name is taken out of LD_PRELOAD, one line is written;
 *   3. execve of the same file with the same arguments: pid, parent, descriptors and signals stay.
 *
 * Nothing can loop: the new image does not have us. When the file or our name can't be found, when the program has gained rights, or was
 * started through the loader by name (whose arguments are not those of the image), nothing is done. Under valgrind, which can't follow an
 * exec, the collector stays off (start.c); valgrind puts its own malloc in place of ours by itself.
 *
 * What must hold: raw system calls and own code only. Neither libc nor the rest of this library may be relied on yet.
 */
#include "base/printable.h"
#include "os/os.h"
#include <elf.h>
#include <link.h>

/* Each runtime defines one of these for its compiled code to call. UBSan is not among them: it has no malloc. */
extern char asan[] __asm__("__asan_init") __attribute__((weak, visibility("default")));
extern char tsan[] __asm__("__tsan_init") __attribute__((weak, visibility("default")));
extern char msan[] __asm__("__msan_init") __attribute__((weak, visibility("default")));
extern char lsan[] __asm__("__lsan_init") __attribute__((weak, visibility("default")));
extern char hwasan[] __asm__("__hwasan_init") __attribute__((weak, visibility("default")));
extern void *__libc_stack_end; /* argc, argv, NULL, environment, NULL, auxiliary vector */
extern ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

enum { ROOM = 4096, ENTRIES = 8192 };

static const char *sanitizer(void)
{
	return asan ? "AddressSanitizer" : tsan ? "ThreadSanitizer" : msan ? "MemorySanitizer" : lsan ? "LeakSanitizer"
	       : hwasan ? "HWAddressSanitizer" : NULL;
}

/* -- strings, without libc -- */

static size_t length(const char *s)
{
	size_t n = 0;
	while (n < SIZE_MAX / 2 && s[n])
		n++;
	return n;
}
static bool same(const char *a, const char *b, size_t n)
{
	while (n && *a == *b)
		a++, b++, n--;
	return n == 0;
}
static const char *base_name(const char *s, size_t n, size_t *left)
{
	size_t at = n;
	while (at && s[at - 1] != '/')
		at--;
	*left = n - at;
	return s + at;
}
static size_t put(char *to, size_t at, const char *s, size_t n)
{
	for (size_t i = 0; i < n && at < ROOM - 1; i++)
		to[at++] = s[i];
	to[at] = 0;
	return at;
}

/* -- step 2 -- */

static const char *own_name(void)
{
	for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next)
		if (m->l_ld == own_dynamic)
			return m->l_name;
	return NULL;
}

/* "LD_PRELOAD=..." without the entry of our name into `to`; false: it is not there, or there is no room. */
static bool without_us(const char *entry, char *to)
{
	const char *name = own_name();
	size_t name_length, n = length("LD_PRELOAD="), total = length(entry);
	bool found = false;
	if (!name || total >= ROOM - 1)
		return false;
	name = base_name(name, length(name), &name_length);
	size_t at = put(to, 0, entry, n);
	for (const char *s = entry + n; *s;) {
		size_t k = 0, left;
		while (s[k] && s[k] != ' ' && s[k] != ':')
			k++;
		const char *last = base_name(s, k, &left);
		size_t rest = k + (s[k] != 0);
		if (k && left == name_length && same(last, name, left))
			found = true;
		else
			at = put(to, at, s, rest);
		s += rest;
	}
	return found;
}

static void tell(const char *program, const char *what)
{
	char line[2 * ROOM];
	size_t at = put(line, 0, "cgc: ", 5);
	at = put(line, at, program, length(program));
	at = put(line, at, " contains ", 10);
	at = put(line, at, what, length(what));
	static const char rest[] = ", which has a malloc of its own: it runs without cgc: for leaks in such a build use LeakSanitizer\n";
	at = put(line, at, rest, sizeof rest - 1);
	for (size_t i = 0, whole; i + 1 < at; i += whole + !whole) { /* without libc, which is not there yet */
		whole = printable_length((const unsigned char *)line + i, at - i);
		if (!whole)
			line[i] = '?';
	}
	os_write(2, line, at);
}

/* -- steps 1 and 3 -- */

static void start_anew(const char *what)
{
	static LARGE char preload[ROOM], program[ROOM];
	static LARGE const char *environment[ENTRIES];
	uintptr_t *stack = __libc_stack_end;
	char **argv = (char **)(stack + 1), **env = argv + stack[0] + 1;
	size_t count = 0, changed = ENTRIES;
	for (; env[count]; count++) {
		if (count >= ENTRIES - 1 || same(env[count], "LD_TRACE_LOADED_OBJECTS=", 24))
			return;
		environment[count] = env[count];
		if (same(env[count], "LD_PRELOAD=", 11))
			changed = count;
	}
	bool by_kernel = false;
	for (const ElfW(auxv_t) *a = (const void *)(env + count + 1); a->a_type != AT_NULL; a++) {
		if (a->a_type == AT_SECURE && a->a_un.a_val)
			return;
		by_kernel |= a->a_type == AT_BASE && a->a_un.a_val; /* no base: the loader itself is the image */
	}
	long n = os_readlink("/proc/self/exe", program, sizeof program - 1);
	if (!by_kernel || changed == ENTRIES || n <= 0 || !without_us(env[changed], preload))
		return;
	program[n] = 0;
	environment[changed] = preload;
	tell(program, what);
	os_exec(program, argv, (char *const *)environment);
}

static void nothing(void) {}
static void (*resolve(void))(void)
{
	const char *what = sanitizer();
	if (UNLIKELY(what != NULL) && __libc_stack_end)
		start_anew(what);
	return nothing;
}
/* Used, so that the loader resolves it. */
static void early(void) __attribute__((ifunc("resolve")));
/* In place of _fini, which does nothing either, behind all other code (preload/order.ld). */
void fini_nothing(void);
__attribute__((used, visibility("hidden"))) void fini_nothing(void) { }

__attribute__((used, visibility("hidden"))) void (*const aside_early)(void) = early;
