/* reuse MIB FILL WANT: at an address space of so many MiB, fills memory with blocks of FILL bytes, frees all and wants one of WANT. Exit status 0: got it. */
#include <stdlib.h>
#include <sys/resource.h>

struct block {
	struct block *before;
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	const struct rlimit limit = { strtoul(argv[1], NULL, 0) << 20, RLIM_INFINITY };
	const size_t fill = strtoul(argv[2], NULL, 0), want = strtoul(argv[3], NULL, 0);
	struct block *last = NULL;
	setrlimit(RLIMIT_AS, &limit);
	for (struct block *b; (b = malloc(fill)); last = b)
		b->before = last;
	while (last) {
		struct block *b = last;
		last = b->before;
		free(b);
	}
	void *volatile p = malloc(want);
	return !p;
}
