/*
 * Wrong and unusual pointers for free and realloc.
 *
 *   misuse wild N free|realloc    the Nth pointer that no malloc gave (of a row that is drawn from all kinds of memory)
 *   misuse wild count             how many there are
 *   misuse theirs                 blocks of glibc's own malloc, found in libc's file as nobody intercepts, given to free and realloc
 */
#include "kit.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>

static char bytes[4096] __attribute__((aligned(16)));
static const char constant[64] __attribute__((aligned(16))) = "text";
static __thread char of_thread[64] __attribute__((aligned(16)));

enum { MOST = 64 };
static void *row[MOST];
static int count;
static void add(const void *p) { row[count++] = (void *)p; }

static void fill_row(char **argv, char *frame)
{
	static char *maps[4];
	const int protections[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
	for (int i = 0; i < 3; i++) {
		maps[i] = mmap(NULL, 65536, protections[i], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		add(maps[i]);
		add(maps[i] + 16);
		add(maps[i] + 4096);
		add(maps[i] + 65536 - 16);
	}
	maps[3] = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
	add(maps[3]);
	add(maps[3] + 64);
	add((void *)1);
	add((void *)16);
	add((void *)4096);
	add((void *)0x87654321);
	add((void *)0x123456789000);
	add((void *)0x8000000000000000);
	add((void *)(intptr_t)-16);
	add((void *)(intptr_t)-4096);
	add(bytes);
	add(bytes + 2048);
	add(bytes + 7);
	add(constant);
	add(of_thread);
	add(frame);
	add(frame + 8);
	add(argv[0]);
	add((void *)fill_row);
	add((void *)(((uintptr_t)fill_row | 15) + 1));
	add((char *)malloc(16) + (1 << 30));
	add((char *)malloc(16) + ((size_t)1 << 45));
}

/* The address of a function of libc, without dlsym: by the tables of its file. */
static void *in_libc(const char *name)
{
	for (struct link_map *m = _r_debug.r_map; m; m = m->l_next) {
		const ElfW(Sym) *symbols = NULL;
		const char *strings = NULL;
		if (!strstr(m->l_name, "libc.so"))
			continue;
		for (const ElfW(Dyn) *d = m->l_ld; d->d_tag; d++)
			if (d->d_tag == DT_SYMTAB)
				symbols = (const void *)d->d_un.d_ptr;
			else if (d->d_tag == DT_STRTAB)
				strings = (const void *)d->d_un.d_ptr;
		for (const ElfW(Sym) *s = symbols; (const char *)s < strings; s++) /* the one stands before the other */
			if (s->st_value && strcmp(strings + s->st_name, name) == 0)
				return (void *)(m->l_addr + s->st_value);
	}
	return NULL;
}

static void *(*their_malloc)(size_t), *(*their_calloc)(size_t, size_t), *(*their_memalign)(size_t, size_t);

static void *theirs(void *unused)
{
	for (unsigned size = 1; size < 3000000; size = size * 5 / 4 + 1) {
		void *p[] = { their_malloc(size), their_calloc(1, size), their_memalign(64, size), their_memalign(4096, size), their_malloc(size) };
		for (unsigned i = 0; i < sizeof p / sizeof *p; i++) {
			memset(p[i], 0x5A, size);
			char *q = i % 2 ? realloc(p[i], size + 100) : p[i];
			for (unsigned k = 0; k < size; k++)
				if (q[k] != 0x5A)
					abort();
			free(q);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char frame[64] __attribute__((aligned(16))) = "";
	if (argc > 2 && !strcmp(argv[1], "wild")) {
		fill_row(argv, frame);
		if (!strcmp(argv[2], "count"))
			printf("%d\n", count);
		else if (!strcmp(argv[3], "free"))
			free(row[atoi(argv[2])]);
		else
			row[0] = realloc(row[atoi(argv[2])], 200);
		return 0;
	}
	*(void **)&their_malloc = in_libc("malloc");
	*(void **)&their_calloc = in_libc("calloc");
	*(void **)&their_memalign = in_libc("memalign");
	if (!their_malloc || !their_calloc || !their_memalign)
		return 75;
	pthread_t t;
	theirs(NULL); /* of the main arena, of mappings */
	pthread_create(&t, NULL, theirs, NULL); /* of another arena */
	pthread_join(t, NULL);
	puts("theirs");
	return 0;
}
