/*
 * libplant.so: plants leaks that are known, into any program.
 *
 * Preloaded in front of the allocator under test (LD_PRELOAD=libplant.so:libcgc.so). Every malloc, calloc and realloc goes on to the
 * next library. At about one allocation in a hundred it also plants a lost structure: a single block, a list of 3-10, a
 * cycle or a small tree, of blocks of 16 bytes to 8 KiB. What is not a link is a pattern of the block's number.
 *
 * Only disguised addresses are kept, in a mapping of our own, and the stack and registers are scrubbed after planting: the
 * collector can find none of the blocks. At exit cgc_collect runs a few times, then each block is looked at: when its
 * pattern is no longer whole, it was recycled (under stress= recycled blocks are filled at once; otherwise they were handed
 * out again or purged). Blocks are read by process_vm_readv, so a hole in the arena is an answer too.
 *
 * PLANT_LOG=FILE: one line to FILE.pid at exit:
 *   plant NAME blocks B bytes Y recycled_blocks R recycled_bytes X percent P allocations A
 * A forked child starts with an empty table. PLANT_RATE=N plants at one allocation in N (100), 0 at none. PLANT_SEED=N plants others at
 * other times. What a child plants depends on its place among its parent's children too: subshells do the same work on copies of one
 * heap, and would plant the same structure into the same slot again and again.
 *
 * PLANT_MAP=FILE, for reports: the table is the file FILE.PID instead, so whatever way the process ends, it says what was planted before
 * any report is made. Nothing is collected or looked at. Each kind of structure is planted by a function of its own, which stacks show.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "kit.h"

enum { TABLE = 60000, STRUCTURE_MAX = 10 };
enum kind { SINGLE, LIST, CYCLE, TREE, STRUCTURES };

struct planted {
	uintptr_t hidden; /* kit_hide(address); 0: this entry is not finished */
	uint32_t size;
	uint32_t links;   /* words at the start that are links, not pattern */
	uint64_t id;
	uint32_t structure; /* number of the first block's entry + 1: one for all blocks of a structure */
	uint8_t kind, node; /* enum kind; which of its blocks: 0 is planted first */
	uint16_t unused;
};

static struct planted *table; /* mapped by the constructor; by a child anew when it is a file */
static uint32_t used;         /* atomic: entries given out, may run past TABLE */
static uint64_t allocations;  /* atomic */
static uint64_t salt;         /* of all that is random here: by PLANT_SEED, and by the place in the family of processes */
static uint64_t children;     /* atomic: forked by this process */
static unsigned rate = 100;
static char log_name[512], map_name[512]; /* copies: servers write their titles over the environment */

/* The C library's own names serve while dlsym is not yet through: an allocator that is preloaded takes them over too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
static void *(*next_malloc)(size_t) = __libc_malloc;
static void *(*next_calloc)(size_t, size_t) = __libc_calloc;
static void *(*next_realloc)(void *, size_t) = __libc_realloc;
static bool ready; /* set by the constructor: until then nothing is planted */

static struct planted *map_table(void)
{
	char name[560];
	int fd = -1;
	if (map_name[0]) {
		snprintf(name, sizeof name, "%s.%d", map_name, (int)getpid());
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0 || ftruncate(fd, TABLE * sizeof *table))
			return MAP_FAILED;
	}
	void *p = mmap(NULL, TABLE * sizeof *table, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return p;
}

static void forking(void) { __atomic_fetch_add(&children, 1, __ATOMIC_RELAXED); }

static void forked(void)
{
	used = 0;
	allocations = 0;
	salt += children;
	salt = kit_random(&salt);
	children = 0;
	if (map_name[0]) {
		munmap(table, TABLE * sizeof *table);
		table = map_table();
		ready = table != MAP_FAILED;
	}
}

__attribute__((constructor)) static void start(void)
{
	const char *map = getenv("PLANT_MAP");
	if (map)
		snprintf(map_name, sizeof map_name, "%s", map);
	void *p = map_table();
	void *m = dlsym(RTLD_NEXT, "malloc"), *c = dlsym(RTLD_NEXT, "calloc"), *r = dlsym(RTLD_NEXT, "realloc");
	if (p == MAP_FAILED || !m || !c || !r)
		return;
	table = p;
	*(void **)&next_malloc = m;
	*(void **)&next_calloc = c;
	*(void **)&next_realloc = r;
	const char *in = getenv("PLANT_RATE");
	if (in)
		rate = (unsigned)atoi(in);
	const char *log = getenv("PLANT_LOG");
	if (log)
		snprintf(log_name, sizeof log_name, "%s", log);
	in = getenv("PLANT_SEED");
	if (in)
		salt = strtoull(in, NULL, 10), salt = kit_random(&salt);
	pthread_atfork(forking, NULL, forked);
	__atomic_store_n(&ready, true, __ATOMIC_RELEASE);
}

/* A structure that is being planted: its blocks follow each other in the table as far as other threads let them. */
struct structure {
	enum kind kind;
	uint64_t seed;
	unsigned blocks, links; /* links of each block */
	uint32_t number;
	kit_word *node[STRUCTURE_MAX];
};

/* The next block with its pattern; its links are left for the caller. NULL when the table is full. */
static inline __attribute__((always_inline)) kit_word *plant_block(struct structure *s, unsigned i)
{
	size_t size = kit_log_size(&s->seed, 16, 8192);
	if (size < 8 * (s->links + 1))
		size = 8 * (s->links + 1);
	uint32_t at = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
	kit_word *p = at < TABLE ? next_malloc(size) : NULL;
	if (!p)
		return NULL;
	for (unsigned link = 0; link < s->links; link++)
		p[link] = 0;
	uint64_t id = (uint64_t)getpid() << 32 | at;
	kit_fill(p, s->links, size, id);
	s->number = s->number ? s->number : at + 1;
	table[at].size = (uint32_t)size;
	table[at].links = s->links;
	table[at].id = id;
	table[at].structure = s->number;
	table[at].kind = (uint8_t)s->kind;
	table[at].node = (uint8_t)i;
	__atomic_store_n(&table[at].hidden, kit_hide((uintptr_t)p), __ATOMIC_RELEASE);
	return s->node[i] = p;
}

static __attribute__((noinline)) void plant_single(struct structure *s)
{
	plant_block(s, 0);
}

/* Each points to the one before. */
static __attribute__((noinline)) void plant_list(struct structure *s)
{
	for (unsigned i = 0; i < s->blocks && plant_block(s, i); i++)
		s->node[i][0] = i ? (uintptr_t)s->node[i - 1] : 0;
}

static __attribute__((noinline)) void plant_cycle(struct structure *s)
{
	for (unsigned i = 0; i < s->blocks && plant_block(s, i); i++) {
		s->node[i][0] = i ? (uintptr_t)s->node[i - 1] : 0;
		s->node[0][0] = (uintptr_t)s->node[i];
	}
}

/* As in a binary heap. */
static __attribute__((noinline)) void plant_tree(struct structure *s)
{
	for (unsigned i = 0; i < s->blocks && plant_block(s, i); i++)
		if (i)
			s->node[(i - 1) / 2][(i - 1) % 2] = (uintptr_t)s->node[i];
}

static __attribute__((noinline)) void plant_structure(uint64_t seed)
{
	static void (*const plant[STRUCTURES])(struct structure *s) = { plant_single, plant_list, plant_cycle, plant_tree };
	struct structure s = { .seed = seed };
	s.kind = (enum kind)((kit_random(&s.seed) >> 33) % STRUCTURES);
	s.blocks = s.kind == SINGLE ? 1 : 3 + (unsigned)(kit_random(&s.seed) >> 33) % (STRUCTURE_MAX - 2);
	s.links = s.kind == SINGLE ? 0 : s.kind == TREE ? 2 : 1;
	plant[s.kind](&s);
	for (unsigned i = 0; i < STRUCTURE_MAX; i++)
		*(kit_word *volatile *)&s.node[i] = NULL;
}

/* Threads may have stacks of 16 KiB and be deep in them: kit_scrub's depth would be too much here. */
static __attribute__((noinline)) void scrub_some(void)
{
	volatile char dead[3072];
	for (size_t i = 0; i < sizeof dead; i++)
		dead[i] = 0;
	__asm__ volatile("" ::: "memory");
#if defined(__x86_64__)
	__asm__ volatile("xor %%eax,%%eax; xor %%ecx,%%ecx; xor %%edx,%%edx; xor %%esi,%%esi; xor %%edi,%%edi\n"
	                 "xor %%r8d,%%r8d; xor %%r9d,%%r9d; xor %%r10d,%%r10d; xor %%r11d,%%r11d\n"
	                 "pxor %%xmm0,%%xmm0; pxor %%xmm1,%%xmm1; pxor %%xmm2,%%xmm2; pxor %%xmm3,%%xmm3" ::
	                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "cc");
#endif
}

static void perhaps_plant(void)
{
	uint64_t n = __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
	uint64_t seed = salt + (n + 1) * 0x9E3779B97F4A7C15ULL;
	if (!rate || (seed >> 32) % rate || !__atomic_load_n(&ready, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&used, __ATOMIC_RELAXED) + STRUCTURE_MAX > TABLE)
		return;
	int saved = errno;
	plant_structure(seed);
	scrub_some();
	errno = saved;
}

/* The program's block comes last, so that scrubbing can't touch its only copy and no planting hides behind it. */
__attribute__((visibility("default"))) void *malloc(size_t size)
{
	perhaps_plant();
	return next_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
	perhaps_plant();
	return next_calloc(count, size);
}

/* Lua allocates by nothing else. */
__attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
	perhaps_plant();
	return next_realloc(old, size);
}

/* Is the planted pattern gone? */
static bool was_recycled(const struct planted *b)
{
	static uint64_t copy[1024];
	uintptr_t at = kit_hide(b->hidden);
	struct iovec to = { copy, b->size }, from = { (void *)at, b->size };
	ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	if (got < 0 && errno != EFAULT) /* not allowed here: the arena stays mapped, so look at it */
		memcpy(copy, (void *)at, b->size);
	else if (got != (ssize_t)b->size)
		return true;
	return !kit_intact(copy, b->links, b->size, b->id);
}

__attribute__((destructor)) static void finish(void)
{
	if (!ready || !log_name[0])
		return;
	ready = false;
	kit_scrub();
	kit_collect(3);
	uint64_t blocks = 0, bytes = 0, gone = 0, gone_bytes = 0;
	for (uint32_t i = 0; i < used && i < TABLE; i++) {
		if (!table[i].hidden)
			continue;
		bool recycled = was_recycled(&table[i]);
		blocks++;
		bytes += table[i].size;
		gone += recycled;
		gone_bytes += recycled ? table[i].size : 0;
	}
	/* raw calls and a buffer of our own: the program may have closed or replaced stdio */
	static char line[512], name[560]; /* static: on the stack they would be old words that hold plants during the collection */
	snprintf(name, sizeof name, "%s.%d", log_name, (int)getpid());
	int n = snprintf(line, sizeof line,
	                 "plant %s blocks %llu bytes %llu recycled_blocks %llu recycled_bytes %llu percent %.1f allocations %llu\n",
	                 program_invocation_short_name, (unsigned long long)blocks, (unsigned long long)bytes,
	                 (unsigned long long)gone, (unsigned long long)gone_bytes,
	                 bytes ? 100.0 * (double)gone_bytes / (double)bytes : 100.0, (unsigned long long)allocations);
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd >= 0) {
		ssize_t written = write(fd, line, (size_t)n);
		(void)written; /* a line that is missing fails the case that counts them */
		close(fd);
	}
}
