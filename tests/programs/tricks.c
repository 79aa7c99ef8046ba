/*
 * Programs that hide their pointers, one trick each: what mode=audit must catch.
 *
 *   tricks TRICK [SECONDS]
 *
 * Each allocates blocks in make_block and keeps their addresses in its own way only; then it allocates and frees other memory
 * for a while (and sleeps SECONDS), turns what it kept into addresses again, finds the blocks whole, and frees them in drop_block.
 * Correct under any malloc that does not collect. `clean` does the same with plain pointers.
 *
 * `killed` is `complement`, and ends by SIGKILL after its frees. For audit=touch: `untouched`, `read`, `write` and `syscall` lose
 * blocks of several pages by complement, allocate for a while, use the blocks in their way or not at all, and never free them.
 * Exit status: 0, 1 a block was damaged, 2 usage or the trick could not be set up.
 */
#include "kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

enum { BLOCKS = 40, SIZE = 160, CHURN = 60000, LIVE = 2000, TAG = 0x5a5a, TURN = 24, AWAY = 64 };

struct node {
	uintptr_t link; /* first word: the xor list's; part of the pattern's place otherwise */
	uint64_t rest[SIZE / 8 - 1];
};

static uintptr_t kept[BLOCKS];

static __attribute__((noinline)) void *make_block(int i)
{
	void *p = malloc(SIZE);
	if (!p)
		exit(2);
	memset(p, 0, SIZE);
	kit_fill(p, 1, SIZE, (uint64_t)i);
	return p;
}

static __attribute__((noinline)) void drop_block(void *p)
{
	free(p);
	__asm__ volatile(""); /* a call, no jump: its return address is in this function */
}

/* ---- tricks: keep(i, p), then find(i) in rising order, each once ---- */

static void keep_plain(int i, void *p) { kept[i] = (uintptr_t)p; }
static void *find_plain(int i) { return (void *)kept[i]; }

static void keep_complement(int i, void *p) { kept[i] = ~(uintptr_t)p; }
static void *find_complement(int i) { return (void *)~kept[i]; }

static void keep_tagged(int i, void *p) { kept[i] = (uintptr_t)p | (uintptr_t)TAG << 48; }
static void *find_tagged(int i) { return (void *)(kept[i] ^ (uintptr_t)TAG << 48); }

static void keep_rotated(int i, void *p) { kept[i] = (uintptr_t)p << TURN | (uintptr_t)p >> (64 - TURN); }
static void *find_rotated(int i) { return (void *)(kept[i] >> TURN | kept[i] << (64 - TURN)); }

static void keep_before(int i, void *p) { kept[i] = (uintptr_t)p - AWAY; }
static void *find_before(int i) { return (void *)(kept[i] + AWAY); }

static void keep_past(int i, void *p) { kept[i] = (uintptr_t)p + SIZE + AWAY; }
static void *find_past(int i) { return (void *)(kept[i] - AWAY - SIZE); }

/* As a 32-bit heap of a virtual machine: shifted, from a base of its own. */
static uint32_t compressed[BLOCKS];
static uintptr_t base;
static void keep_compressed(int i, void *p)
{
	base = (uintptr_t)p >> 34 << 34;
	compressed[i] = (uint32_t)(((uintptr_t)p - base) >> 3);
}
static void *find_compressed(int i) { return (void *)(base + ((uintptr_t)compressed[i] << 3)); }

static struct node *first, *last;
static void keep_xor_list(int i, void *p)
{
	struct node *n = p;
	n->link = (uintptr_t)last;
	if (last)
		last->link ^= (uintptr_t)n;
	else
		first = n;
	last = n;
}
static void *find_xor_list(int i)
{
	static uintptr_t before; /* hidden too: the list is walked under cycles */
	struct node *n = first;
	uintptr_t next = n->link ^ (i ? kit_hide(before) : 0);
	before = kit_hide((uintptr_t)n);
	first = (struct node *)next;
	return n;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static char text[BLOCKS][12];
static void keep_base64(int i, void *p)
{
	unsigned char bytes[9] = { 0 };
	memcpy(bytes, &p, 8);
	for (int k = 0; k < 12; k++) {
		unsigned three = (unsigned)bytes[k / 4 * 3] << 16 | (unsigned)bytes[k / 4 * 3 + 1] << 8 | bytes[k / 4 * 3 + 2];
		text[i][k] = digits[three >> (18 - 6 * (k % 4)) & 63];
	}
	memset(bytes, 0, sizeof bytes);
	__asm__ volatile("" : : "r"(bytes) : "memory");
}
static void *find_base64(int i)
{
	unsigned char bytes[9];
	for (int k = 0; k < 12; k += 4) {
		unsigned three = 0;
		for (int j = 0; j < 4; j++)
			three = three << 6 | (unsigned)(strchr(digits, text[i][k + j]) - digits);
		bytes[k / 4 * 3] = (unsigned char)(three >> 16);
		bytes[k / 4 * 3 + 1] = (unsigned char)(three >> 8);
		bytes[k / 4 * 3 + 2] = (unsigned char)three;
	}
	void *p;
	memcpy(&p, bytes, 8);
	return p;
}

static int ends[2] = { -1, -1 };
static void keep_fd(int i, void *p)
{
	if (write(ends[1], &p, sizeof p) != (ssize_t)sizeof p)
		exit(2);
	p = NULL;
	__asm__ volatile("" : : "r"(&p) : "memory");
}
static void *find_fd(int i)
{
	void *p;
	if (read(ends[0], &p, sizeof p) != (ssize_t)sizeof p)
		exit(2);
	return p;
}
static void keep_pipe(int i, void *p)
{
	if (ends[0] < 0 && pipe(ends))
		exit(2);
	keep_fd(i, p);
}
static void keep_file(int i, void *p)
{
	static char name[] = "/tmp/cgc-tricks.XXXXXX";
	if (ends[0] < 0) {
		ends[1] = mkstemp(name);
		ends[0] = open(name, O_RDONLY);
		unlink(name);
	}
	keep_fd(i, p);
}

static uintptr_t *page;
static void keep_dontfork(int i, void *p)
{
	if (!page) {
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED || madvise(page, 4096, MADV_DONTFORK))
			exit(2);
	}
	page[i] = (uintptr_t)p;
}
static void *find_dontfork(int i) { return (void *)page[i]; }

static const struct trick {
	const char *name;
	void (*keep)(int i, void *p);
	void *(*find)(int i);
} tricks[] = {
	{ "clean", keep_plain, find_plain },
	{ "killed", keep_complement, find_complement },
	{ "xor_list", keep_xor_list, find_xor_list },
	{ "complement", keep_complement, find_complement },
	{ "file", keep_file, find_fd },
	{ "compressed", keep_compressed, find_compressed },
	{ "before", keep_before, find_before },
	{ "past", keep_past, find_past },
	{ "base64", keep_base64, find_base64 },
	{ "pipe", keep_pipe, find_fd },
	{ "tagged", keep_tagged, find_tagged },
	{ "rotated", keep_rotated, find_rotated },
	{ "dontfork", keep_dontfork, find_dontfork },
};

/* Live neighbours: an address off the block's end leads into one. */
void *between[BLOCKS + 1] __attribute__((visibility("default")));

static __attribute__((noinline)) void make_all(const struct trick *t)
{
	between[0] = malloc(SIZE);
	for (int i = 0; i < BLOCKS; i++) {
		t->keep(i, make_block(i));
		between[i + 1] = malloc(SIZE);
	}
}

static __attribute__((noinline)) void churn(void)
{
	static void *live[LIVE];
	uint64_t seed = 1;
	for (int i = 0; i < CHURN; i++) {
		size_t at = kit_random(&seed) % LIVE;
		free(live[at]);
		live[at] = malloc(16 + kit_random(&seed) % 100);
	}
}

/* ---- pages ---- */

enum { PAGES_BLOCKS = 20, PAGES_SIZE = 20000, AT = 9000 };

static __attribute__((noinline)) void make_pages(void)
{
	for (int i = 0; i < PAGES_BLOCKS; i++) {
		void *p = malloc(PAGES_SIZE);
		if (!p)
			exit(2);
		kit_fill(p, 0, PAGES_SIZE, (uint64_t)i);
		kept[i] = ~(uintptr_t)p;
	}
}

/* The kernel reads the block and writes it: both must succeed and move the right bytes. */
static int by_system_call(char *p)
{
	char back[64];
	if (pipe(ends) || write(ends[1], p + AT, sizeof back) != (ssize_t)sizeof back || read(ends[0], back, sizeof back) != (ssize_t)sizeof back)
		return 1;
	int wrong = memcmp(back, p + AT, sizeof back) != 0;
	memset(back, 7, sizeof back);
	if (write(ends[1], back, sizeof back) != (ssize_t)sizeof back || read(ends[0], p + AT, sizeof back) != (ssize_t)sizeof back)
		return 1;
	wrong |= memcmp(back, p + AT, sizeof back) != 0;
	kit_fill(p, 0, PAGES_SIZE, 0);
	close(ends[0]);
	close(ends[1]);
	return wrong;
}

static __attribute__((noinline)) int use_pages(const char *how)
{
	volatile char *p = (volatile char *)~kept[0];
	int wrong = 0;
	if (!strcmp(how, "read"))
		wrong = p[AT] != ((const char *)p)[AT];
	else if (!strcmp(how, "write"))
		p[AT] = p[AT] ^ 0;
	else if (!strcmp(how, "syscall"))
		wrong = by_system_call((char *)p);
	return wrong;
}

static int pages(const char *how)
{
	make_pages();
	kit_scrub();
	churn();
	int wrong = use_pages(how);
	kit_scrub();
	churn();
	if (strcmp(how, "untouched"))
		for (int i = 0; i < PAGES_BLOCKS; i++)
			wrong += !kit_intact((void *)~kept[i], 0, PAGES_SIZE, (uint64_t)i);
	printf("%s: %d blocks damaged\n", how, wrong);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	static const char *const of_pages[] = { "untouched", "read", "write", "syscall" };
	for (size_t i = 0; argc > 1 && i < sizeof of_pages / sizeof *of_pages; i++)
		if (!strcmp(argv[1], of_pages[i]))
			return pages(argv[1]);
	const struct trick *t = tricks, *end = tricks + sizeof tricks / sizeof *tricks;
	while (t < end && argc > 1 && strcmp(t->name, argv[1]))
		t++;
	if (argc < 2 || t == end) {
		for (t = tricks; t < end; t++)
			puts(t->name);
		return 2;
	}
	make_all(t);
	kit_scrub();
	if (argc > 2)
		usleep((useconds_t)(atof(argv[2]) * 1e6));
	churn();
	int damaged = 0;
	for (int i = 0; i < BLOCKS; i++) {
		void *p = t->find(i);
		damaged += !kit_intact(p, 1, SIZE, (uint64_t)i);
		drop_block(p);
	}
	if (!strcmp(t->name, "killed"))
		raise(SIGKILL);
	printf("%s: %d blocks damaged\n", t->name, damaged);
	return damaged != 0;
}
