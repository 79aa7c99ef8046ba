/* Root regions: a mapped file that nobody wrote to through the mapping, with and without; a lost block's inside; one taken back too early. */
// expect: definite 1 blocks 96 bytes not_declared
// expect: definite 1 blocks 96 bytes taken_back
// expect: definite 1 blocks 4000 bytes region
#include "lsan.h"
#include <sys/mman.h>

static SITE void *declared(void) { return made(malloc(96)); }
static SITE void *declared_twice(void) { return made(malloc(96)); }
static SITE void *not_declared(void) { return made(malloc(96)); }
static SITE void *taken_back(void) { return made(malloc(96)); }
static SITE void *region(void) { return made(malloc(4000)); }
static SITE void *in_lost_region(void) { return made(malloc(96)); }

/* A page of a file on a disk whose word 5 is the only pointer to the block. */
static SITE char *in_file(void *p)
{
	char name[] = "leak_zoo.XXXXXX";
	void *words[512] = { NULL };
	int fd = mkstemp(name);
	if (fd < 0)
		_exit(2);
	unlink(name);
	words[5] = p;
	if (write(fd, words, sizeof words) != sizeof words || fsync(fd))
		_exit(2);
	words[5] = NULL;
	use(words);
	char *m = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0); /* the second page lies past the file's end */
	close(fd);
	return m == MAP_FAILED ? NULL : m;
}

static SITE void fill(void)
{
	__lsan_register_root_region(in_file(declared()), 8192);
	char *m = in_file(declared_twice());
	__lsan_register_root_region(m - (1 << 20), (2 << 20));
	__lsan_register_root_region(m, 4096);
	__lsan_register_root_region(m, 4096);
	__lsan_unregister_root_region(m, 4096);
	__lsan_unregister_root_region(m - (1 << 20), (2 << 20));
	in_file(not_declared());
	m = in_file(taken_back());
	__lsan_register_root_region(m, 4096);
	__lsan_unregister_root_region(m, 4096);
	__lsan_unregister_root_region(m, 4096); /* a line, no more */
	void **r = region();
	memset(r, 0, 4000);
	r[300] = in_lost_region();
	__lsan_register_root_region(r, 4000);
}

int main(void)
{
	lsan_needed();
	fill();
	kit_scrub();
	return 0;
}
