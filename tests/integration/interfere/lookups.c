/* What is found by name and what is called by name are of one allocator: each way to find malloc's family, each maker of a block with each end.
 * Linked with a library that wraps free and read in front of libc, and opens one more that only asks (both from here, by -D). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined ASKS || defined WRAPS
__attribute__((visibility("default"))) void *asked(const char *name, const char *version)
{
	void *found = version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
	return __builtin_expect(found != NULL, 1) ? found : NULL;
}
#ifdef WRAPS
static int depth;
ssize_t read(int d, void *to, size_t n)
{
	static ssize_t (*next)(int, void *, size_t);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "read");
	if (++depth > 3)
		abort(); /* it leads back here */
	ssize_t r = next(d, to, n);
	depth--;
	return r;
}
void free(void *p)
{
	static void (*next)(void *);
	if (!next)
		*(void **)&next = dlsym(dlopen("libc.so.6", RTLD_LAZY), "free");
	if (++depth > 3)
		abort();
	next(p);
	depth--;
}
#endif
#else

static void *(*linked)(const char *, const char *), *(*opened)(const char *, const char *);
static void *libc;

enum { BY_HANDLE, BY_VERSION, BY_DEFAULT, BY_NEXT, FROM_LINKED, FROM_OPENED, VERSION_FROM_OPENED, WAYS };
#ifdef __x86_64__
#define BASE "GLIBC_2.2.5"
#else
#define BASE "GLIBC_2.17"
#endif
static void *find(int way, const char *name)
{
	switch (way) {
	case BY_HANDLE: return dlsym(libc, name);
	case BY_VERSION: return dlvsym(libc, name, BASE);
	case BY_DEFAULT: return dlsym(RTLD_DEFAULT, name);
	case BY_NEXT: return dlsym(RTLD_NEXT, name);
	case FROM_LINKED: return linked(name, NULL);
	case FROM_OPENED: return opened(name, NULL);
	default: return opened(name, BASE);
	}
}

enum { MALLOC, CALLOC, REALLOC, MEMALIGN, VALLOC, STRDUP, PRINTED, LINE, MAKERS };
static void *make(int way, int maker, size_t size)
{
	static const char *const names[] = { "malloc", "calloc", "realloc", "memalign", "valloc" };
	void *f = maker < STRDUP ? find(way, names[maker]) : NULL, *p = NULL;
	if (maker < STRDUP && !f)
		return NULL;
	char text[100];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	switch (maker) {
	case MALLOC: return ((void *(*)(size_t))f)(size);
	case CALLOC: return ((void *(*)(size_t, size_t))f)(1, size);
	case REALLOC: return ((void *(*)(void *, size_t))f)(NULL, size);
	case MEMALIGN: return ((void *(*)(size_t, size_t))f)(256, size);
	case VALLOC: return ((void *(*)(size_t))f)(size);
	case STRDUP: return strdup(text);
	case PRINTED: return asprintf((char **)&p, "%s", text) < 0 ? NULL : p;
	default: {
		size_t room = 0;
		FILE *in = fmemopen(text, sizeof text, "r");
		if (getline((char **)&p, &room, in) < 0)
			return NULL;
		fclose(in);
		return p;
	}
	}
}

enum { FREE, CFREE, SHRINK, GROW, USABLE, HERE, ENDS };
static int end(int way, int ending, void *p)
{
	void *f;
	switch (ending) {
	case FREE: f = find(way, "free"); if (f) ((void (*)(void *))f)(p); else free(p); return 1;
	case CFREE: f = find(way, "cfree"); if (f) ((void (*)(void *))f)(p); else free(p); return 1;
	case SHRINK: f = find(way, "realloc"); p = f ? ((void *(*)(void *, size_t))f)(p, 20) : p; free(p); return p != NULL;
	case GROW: f = find(way, "realloc"); p = f ? ((void *(*)(void *, size_t))f)(p, 90000) : p; free(p); return p != NULL;
	case USABLE: f = find(way, "malloc_usable_size"); { size_t n = f ? ((size_t (*)(void *))f)(p) : 99; free(p); return n >= 99; }
	default: free(realloc(p, 300)); return 1;
	}
}

int main(int argc, char **argv)
{
	int good = 0, tried = 0, into[2];
	void *plain = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	libc = dlopen("libc.so.6", RTLD_LAZY);
	*(void **)&opened = dlsym(plain, "asked");
	*(void **)&linked = dlsym(dlopen(argv[2], RTLD_NOW | RTLD_NOLOAD), "asked");
	for (int way = 0; way < WAYS; way++)
		for (int maker = 0; maker < MAKERS; maker++)
			for (int other_way = 0; other_way < WAYS; other_way++)
				for (int ending = 0; ending < ENDS; ending++) {
					if (other_way && other_way != way && ending > FREE)
						continue;
					void *p = make(way, maker, 100);
					if (!p)
						continue;
					tried++;
					if (maker < STRDUP)
						memset(p, 7, 100);
					good += end(other_way, ending, p);
				}
	printf("all good: %d, enough: %d\n", good == tried, tried > 500);

	dlsym(libc, "no such name");
	const int told = dlerror() != NULL;
	printf("an error is told: %d, once: %d\n", told, dlerror() == NULL);
	void *found = dlsym(libc, "malloc");
	printf("found: %d, and no error: %d\n", found != NULL, dlerror() == NULL);
	printf("one write: %d\n", dlsym(libc, "write") == (void *)write);
	char c = 0;
	if (pipe(into) || write(into[1], "y", 1) != 1 || read(into[0], &c, 1) != 1)
		puts("no pipe");
	printf("read through the wrapper: %c\n", c);
	void *other = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	void *(*its_malloc)(size_t) = other ? (void *(*)(size_t))dlsym(other, "malloc") : malloc;
	void (*its_free)(void *) = other ? (void (*)(void *))dlsym(other, "free") : free;
	its_free(its_malloc(100));
	printf("another namespace's own: %d\n", !other || (void *)its_malloc != (void *)malloc);
	puts("end");
	return 0;
}
#endif
