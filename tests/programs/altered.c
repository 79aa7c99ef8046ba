/*
 * altered SEED ROUNDS [no-cycles]: blocks whose pages the program alters, in every way there is, are freed, lost, resized or put right again.
 * Whatever became of them, memory that malloc gives afterwards is plain: it can be written, the kernel may write to it, a child of fork has its
 * contents, no file shows what is written there, and what the program mapped in place of a page stays its own.
 *
 * Each case draws a way, how the call is made (by name, by number, by an instruction of the program's own), how the block was allocated, its size, which of
 * its pages, and its fate. Prints what was drawn, and `lost: what` with exit 1 at the first that is wrong. no-cycles: nothing looks at mappings,
 * so calls that no wrapper sees are left out.
 */
#include "kit.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PAGE = 4096, BLOCKS = 6, AFTER = 24 };
enum by { BY_NAME, BY_NUMBER, BY_INSTRUCTION, BYS };
enum fate { FREED, FREED_ELSEWHERE, LOST, GROWN, UNDONE, FATES };
static const char *const by_names[] = { "name", "number", "instruction" }, *const fate_names[] = { "freed", "freed elsewhere", "lost", "grown", "undone" };

static uint64_t seed;
static char what[200];

static void failed(const char *why) { kit_fail("lost: %s: %s", what, why); }
static void on_fault(int signal)
{
	static const char why[] = ": a fault\n";
	(void)signal;
	if (write(2, "lost: ", 6) < 0 || write(2, what, strlen(what)) < 0 || write(2, why, sizeof why - 1) < 0)
		_exit(3);
	_exit(1);
}

static long call(enum by by, long n, long a, long b, long c, long d, long e, long f)
{
#if defined __x86_64__
	if (by == BY_INSTRUCTION) {
		register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
		long r;
		__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
		errno = r < 0 ? (int)-r : errno;
		return r < 0 ? -1 : r;
	}
#endif
	return syscall(n, a, b, c, d, e, f);
}

/* -- calls by each way -- */

static int protect(enum by by, char *at, size_t size, int how) { return by == BY_NAME ? mprotect(at, size, how) : (int)call(by, SYS_mprotect, (long)at, (long)size, how, 0, 0, 0); }
static int advise(enum by by, char *at, size_t size, int how) { return by == BY_NAME ? madvise(at, size, how) : (int)call(by, SYS_madvise, (long)at, (long)size, how, 0, 0, 0); }
static bool map(enum by by, char *at, size_t size, int how, int flags, int fd)
{
	return (by == BY_NAME ? (long)mmap(at, size, how, flags, fd, 0) : call(by, SYS_mmap, (long)at, (long)size, how, flags, fd, 0)) == (long)at;
}
static long move(enum by by, char *at, size_t size, char *to)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	return by == BY_NAME ? (long)mremap(at, size, size, flags, to) : call(by, SYS_mremap, (long)at, (long)size, (long)size, flags, (long)to, 0);
}

static int file = -1, serves = -1;
static char *taken; /* what the program mapped where pages were */
static size_t taken_size;
static char *elsewhere(size_t size) { return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/* The program's own memory in a hole that it made. */
static bool fill_hole(char *at, size_t size)
{
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		return true;
	taken = at;
	taken_size = size;
	memset(at, 0x77, size);
	return true;
}

static bool with_key(char *at, size_t size)
{
	int key = pkey_alloc(0, 0);
	if (key < 0)
		return false;
	bool done = pkey_mprotect(at, size, PROT_READ | PROT_WRITE, key) == 0 && pkey_set(key, PKEY_DISABLE_ACCESS) == 0;
	return done;
}

static bool with_segment(enum by by, char *at, size_t size)
{
	int id = shmget(IPC_PRIVATE, size, 0600);
	if (id < 0)
		return false;
	void *r = by == BY_NAME ? shmat(id, at, SHM_REMAP) : (void *)call(by, SYS_shmat, id, (long)at, SHM_REMAP, 0, 0, 0);
	shmctl(id, IPC_RMID, NULL);
	if (r == at && kit_random(&seed) % 2)
		shmdt(at);
	return r == at;
}

static bool with_server(char *at, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register ask = { .range = { (uintptr_t)at, size }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	if (serves < 0 && (serves = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */)) >= 0 && ioctl(serves, UFFDIO_API, &api) != 0)
		return false;
	return serves >= 0 && madvise(at, size, MADV_DONTNEED) == 0 && ioctl(serves, UFFDIO_REGISTER, &ask) == 0;
}

/* false: not here. */
#define WAYS(X) \
	X(none, true, protect(by, at, size, PROT_NONE) == 0) \
	X(readable, true, protect(by, at, size, PROT_READ) == 0) \
	X(executable, true, protect(by, at, size, PROT_READ | PROT_EXEC) == 0) \
	X(dontfork, false, advise(by, at, size, MADV_DONTFORK) == 0) \
	X(wipeonfork, false, advise(by, at, size, 18) == 0) \
	X(guard, false, advise(by, at, size, 102) == 0) \
	X(file, true, map(by, at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file)) \
	X(file_private, true, map(by, at, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, file)) \
	X(mapped_none, true, map(by, at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1)) \
	X(shared, true, map(by, at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1)) \
	X(unmapped, true, (by == BY_NAME ? munmap(at, size) : (int)call(by, SYS_munmap, (long)at, (long)size, 0, 0, 0, 0)) == 0) \
	X(unmapped_filled, false, (by == BY_NAME ? munmap(at, size) : (int)call(by, SYS_munmap, (long)at, (long)size, 0, 0, 0, 0)) == 0 && fill_hole(at, size)) \
	X(moved_away, true, move(by, at, size, elsewhere(size)) != -1) \
	X(moved_here, true, protect(by, memset(elsewhere(size), 0, size), size, PROT_READ | PROT_WRITE) == 0 && move(by, elsewhere(size), size, at) != -1 && protect(by, at, size, PROT_READ) == 0) \
	X(key, false, by == BY_NAME && with_key(at, size)) \
	X(segment, false, by != BY_INSTRUCTION && with_segment(by, at, size)) \
	X(served, false, by == BY_NAME && with_server(at, size))
enum way {
#define X(name, ...) WAY_##name,
	WAYS(X)
#undef X
	WAY_COUNT
};
static const char *const way_names[] = {
#define X(name, ...) #name,
	WAYS(X)
#undef X
};
static const bool in_maps[] = { /* a look at the mappings tells */
#define X(name, shows, ...) shows,
	WAYS(X)
#undef X
};
static bool alter(enum way way, enum by by, char *at, size_t size)
{
	switch (way) {
#define X(name, shows, does) case WAY_##name: return does;
		WAYS(X)
#undef X
	default: return false;
	}
}

/* -- a case -- */

enum how { BY_MALLOC, BY_CALLOC, BY_MEMALIGN, BY_VALLOC, BY_REALLOC, HOWS };

static char *take(enum how how, size_t size)
{
	void *p = NULL;
	switch (how) {
	case BY_MALLOC: return malloc(size);
	case BY_CALLOC: return calloc(1, size);
	case BY_VALLOC: return valloc(size);
	case BY_REALLOC: return realloc(malloc(100), size);
	default: return posix_memalign(&p, PAGE << kit_random(&seed) % 3, size) == 0 ? p : NULL;
	}
}

static void *give(void *p)
{
	free(p);
	return NULL;
}

static void fate_of(uintptr_t *hidden, enum fate fate, char *at, size_t pages, size_t size)
{
	char *p = (char *)kit_hide(*hidden);
	pthread_t t;
	*hidden = 0;
	switch (fate) {
	case FREED:
		free(p);
		break;
	case FREED_ELSEWHERE:
		if (pthread_create(&t, NULL, give, p) == 0)
			pthread_join(t, NULL);
		break;
	case GROWN: /* only where its contents can be read */
		p = realloc(p, size + size / 2 + 5000);
		free(p);
		break;
	case UNDONE:
		mprotect(at, pages, PROT_READ | PROT_WRITE);
		memset(p, 1, size);
		free(p);
		break;
	default:
		break;
	}
}

static __attribute__((noinline)) bool make(enum way way, enum by by, enum how how, enum fate fate, size_t size)
{
	static uintptr_t hidden[BLOCKS];
	static char *at[BLOCKS];
	static size_t length[BLOCKS];
	bool any = false;
	for (unsigned i = 0; i < BLOCKS; i++) {
		char *p = take(how, size);
		if (!p)
			failed("no memory");
		memset(p, 0x55, size);
		uintptr_t low = ((uintptr_t)p + PAGE - 1) & -(uintptr_t)PAGE, high = ((uintptr_t)p + size) & -(uintptr_t)PAGE;
		size_t pages = (high - low) / PAGE, first = kit_random(&seed) % 3 ? kit_random(&seed) % pages : 0;
		hidden[i] = kit_hide((uintptr_t)p);
		at[i] = (char *)low + first * PAGE;
		length[i] = (kit_random(&seed) % 3 ? 1 : 1 + kit_random(&seed) % (pages - first)) * PAGE;
		taken = NULL;
		if (!alter(way, by, at[i], length[i])) {
			free(p);
			hidden[i] = 0;
			break;
		}
		any = true;
		if (taken)
			break; /* one at a time: it is looked at in the end */
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (hidden[i])
			fate_of(&hidden[i], fate, at[i], length[i], size);
	return any;
}

/* Blocks of the size: plain, each of them. */
static void look(enum how how, size_t size)
{
	static char *p[AFTER];
	int pipes[2], status, zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zero < 0 || pipe(pipes) != 0)
		failed("no /dev/zero, or no pipe");
	for (unsigned i = 0; i < AFTER; i++) {
		p[i] = take(how, size);
		if (!p[i])
			failed("no memory afterwards");
		for (size_t k = 0; how == BY_CALLOC && k < size; k++)
			if (p[i][k])
				failed("calloc gives what is not zero");
		if (read(zero, p[i], size) != (ssize_t)size)
			failed("the kernel can't write to a block");
		memset(p[i], (int)i + 1, size);
	}
	pid_t child = fork();
	if (child == 0) {
		for (unsigned i = 0; i < AFTER; i++)
			for (size_t k = 0; k < size; k++)
				if (p[i][k] != (char)(i + 1))
					failed("a child of fork does not have what is in a block");
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		failed("a child of fork has no such block");
	for (unsigned i = 0; i < AFTER; i++) {
		for (size_t k = 0; k < size; k++)
			if (p[i][k] != (char)(i + 1))
				failed("a block changes by itself");
		free(p[i]);
	}
	close(zero);
	close(pipes[0]);
	close(pipes[1]);
}

static void look_at_own(void)
{
	static char page[PAGE];
	for (size_t k = 0; taken && k < taken_size; k++)
		if (taken[k] != 0x77)
			failed("what the program mapped in a hole is written to");
	for (off_t k = 0; pread(file, page, PAGE, k) == PAGE; k += PAGE)
		for (unsigned i = 0; i < PAGE; i++)
			if (page[i])
				failed("a file shows what is written to a block");
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { PAGE, 5000, 2 * PAGE, 3 * PAGE + 100, 16384, 40000, 65536, 70000, 150000, 262144, 1 << 20 };
	static unsigned made[WAY_COUNT];
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 100, cases = 0;
	const bool no_cycles = argc > 3;
	seed = 0x9E3779B97F4A7C15ull * (argc > 1 ? strtoull(argv[1], NULL, 0) + 1 : 1);
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	file = memfd_create("altered", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, 2 << 20) != 0)
		return 2;
	for (unsigned round = 0; round < rounds; round++) {
		enum way way = kit_random(&seed) % WAY_COUNT;
		enum by by = kit_random(&seed) % BYS;
		enum how how = kit_random(&seed) % HOWS;
		enum fate fate = kit_random(&seed) % FATES;
		size_t size = sizes[kit_random(&seed) % (sizeof sizes / sizeof *sizes)];
		if ((how == BY_MALLOC || how == BY_CALLOC || how == BY_REALLOC) && size < 2 * PAGE)
			size = 3 * PAGE; /* a whole page of it is sure to be its own */
		if (by == BY_INSTRUCTION && (no_cycles || !in_maps[way]))
			by = BY_NUMBER;
		if (by == BY_INSTRUCTION) /* between free and the next cycle nobody knows */
			fate = LOST;
		if (fate == GROWN && !(way == WAY_readable || way == WAY_dontfork || way == WAY_wipeonfork || way == WAY_file || way == WAY_shared || way == WAY_executable))
			fate = FREED;
		if (fate == UNDONE && !(way == WAY_none || way == WAY_readable || way == WAY_executable || way == WAY_mapped_none))
			fate = LOST;
		snprintf(what, sizeof what, "%s by %s, allocator %u, %zu bytes, %s", way_names[way], by_names[by], how, size, fate_names[fate]);
		if (!make(way, by, how, fate, size)) {
			printf("unable %s\n", way_names[way]);
			continue;
		}
		kit_scrub();
		kit_collect(3);
		look(how, size);
		look_at_own();
		if (taken)
			munmap(taken, taken_size);
		made[way]++;
		cases++;
	}
	for (unsigned i = 0; i < WAY_COUNT; i++)
		printf("%s %u\n", way_names[i], made[i]);
	printf("%u cases\n", cases);
	return 0;
}
