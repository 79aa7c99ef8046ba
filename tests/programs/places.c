/*
 * Memory in every way that the kernel has, at random: each place gets the only pointer to a block, at a random multiple of 4 (half of them across a
 * seam of pages), then what surrounds it is changed at random; cycles run; the block must be whole.
 *
 *   places SEED ROUNDS [way]      PLACES_WITHOUT=way leaves one out, PLACES_DISK= is a folder on a disk
 *
 * A round makes PLACES places at once. In between stand blocks that nothing holds: most of them must be gone, else the test shows nothing.
 * Output: how many places each way had, `unable WAY` for those that the system lacks, and one line for each block that was lost:
 * the seed and round that make it again, the way, and what was done to it. Exit 1 on one, 77 without a collector.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kit.h"

enum { PAGE = 4096, PLACES = 32, PAGES = 8, SIZE = 160, NOISE = 600, LOST = 16, HISTORY = 200, HUGE_PAGE = 2 << 20 };
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
enum { GUARD_INSTALL = 102, DROPPABLE = 0x08, SECRET_CALL = 447, SEAL_CALL = 462, USER_MODE_ONLY = 1, SET_VMA = 0x53564d41 };

struct place {
	char *at;              /* PAGES pages */
	size_t offset;         /* of the pointer: a multiple of 4, or anything in code */
	unsigned way;
	int fd;
	bool shared;           /* dropping page table entries drops no content */
	bool fixed;            /* protection and neighbours are left alone */
	bool sealed;           /* can't be unmapped */
	char *other;           /* a second mapping of the same pages, or NULL */
	char history[HISTORY]; /* what was done to it */
	uint64_t id;
};
static struct place places[PLACES];
static uint64_t seed;
static unsigned pick(unsigned n) { return (unsigned)(kit_random(&seed) >> 33) % n; }

static void note(struct place *p, const char *format, ...)
{
	size_t used = strlen(p->history);
	va_list ap;
	va_start(ap, format);
	vsnprintf(p->history + used, sizeof p->history - used, format, ap);
	va_end(ap);
}

/* ---- ways to get memory; false: not here ---- */

static bool mapped(struct place *p, int flags, int fd)
{
	p->at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	p->shared = flags & MAP_SHARED;
	p->fd = fd;
	return p->at != MAP_FAILED;
}
static bool private_anon(struct place *p) { return mapped(p, MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static bool reserved(struct place *p) { return mapped(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1); }
static bool locked(struct place *p) { return mapped(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1); }
static bool populated(struct place *p) { return mapped(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1); }
static bool grows_down(struct place *p) { return mapped(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1); }
static bool droppable(struct place *p) { return mapped(p, DROPPABLE | MAP_ANONYMOUS, -1); }
static bool shared_anon(struct place *p) { return mapped(p, MAP_SHARED | MAP_ANONYMOUS, -1); }

/* A file of PAGES pages, without a name. */
static int memory_file(unsigned flags)
{
	int fd = (int)syscall(SYS_memfd_create, "places (deleted)", flags);
	if (fd >= 0 && ftruncate(fd, PAGES * PAGE) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}
static int named_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd >= 0 && ftruncate(fd, PAGES * PAGE) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}
static bool file_mapped(struct place *p, int fd, int flags) { return fd >= 0 && mapped(p, flags, fd); }

static bool memfd_shared(struct place *p) { return file_mapped(p, memory_file(0), MAP_SHARED); }
static bool memfd_private(struct place *p) { return file_mapped(p, memory_file(0), MAP_PRIVATE); }
static bool memfd_closed(struct place *p)
{
	bool done = memfd_shared(p);
	if (done)
		close(p->fd);
	p->fd = -1;
	return done;
}
static bool memfd_sealed(struct place *p)
{
	int fd = memory_file(2 /* MFD_ALLOW_SEALING */);
	return fd >= 0 && fcntl(fd, 1033 /* F_ADD_SEALS */, 2 | 4 | 8 /* SHRINK, GROW, WRITE */) == 0 && mapped(p, MAP_PRIVATE, fd);
}
/* Written by another mapping of the file, which is gone then, or by a system call (store). */
static bool memfd_twice(struct place *p)
{
	if (!memfd_shared(p))
		return false;
	p->other = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	return p->other != MAP_FAILED;
}
static bool memfd_written(struct place *p) { return memfd_shared(p); }
static bool secret(struct place *p)
{
	int fd = (int)syscall(SECRET_CALL, 0);
	return fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0 && mapped(p, MAP_SHARED, fd);
}

/* A file of this name, which is gone then, or stays until the end of the run. */
static bool file_at(struct place *p, const char *folder, const char *name, bool keep, int flags)
{
	static unsigned made;
	char path[256];
	snprintf(path, sizeof path, "%s/places.%d.%u%s", folder, (int)getpid(), made++, name);
	int fd = named_file(path);
	bool done = file_mapped(p, fd, flags);
	if (fd >= 0 && (!keep || !done))
		unlink(path);
	else if (done)
		p->other = strdup(path); /* unlinked at the end */
	return done;
}
static const char *disk(void) { return getenv("PLACES_DISK") ? getenv("PLACES_DISK") : "."; }
static bool shm_shared(struct place *p) { return file_at(p, "/dev/shm", "", pick(2), MAP_SHARED); }
static bool shm_private(struct place *p) { return file_at(p, "/dev/shm", "", pick(2), MAP_PRIVATE); }
static bool dev_private(struct place *p) { return file_at(p, "/dev", "", pick(2), MAP_PRIVATE); }
static bool dev_shared(struct place *p) { return file_at(p, "/dev", "", true, MAP_SHARED); }
static bool disk_private(struct place *p) { return file_at(p, disk(), "", pick(2), MAP_PRIVATE); }
static bool odd_name(struct place *p)
{
	static const char *const names[] = { "\n7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", " (deleted)", "[heap]", "[vdso]", "anon_inode:[io_uring]",
	                                     "\\012", " 2a00-2b00", "secretmem (deleted)" };
	return file_at(p, disk(), names[pick(8)], pick(2), MAP_PRIVATE);
}
static bool zero_private(struct place *p) { return file_mapped(p, open("/dev/zero", O_RDWR), MAP_PRIVATE); }
static bool zero_shared(struct place *p) { return file_mapped(p, open("/dev/zero", O_RDWR), MAP_SHARED); }

static bool attached(struct place *p)
{
	int id = shmget(IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600);
	if (id < 0)
		return false;
	p->at = shmat(id, NULL, 0);
	char *twice = shmat(id, NULL, SHM_RDONLY);
	shmctl(id, IPC_RMID, NULL);
	p->shared = true;
	if (pick(2))
		shmdt(twice);
	return p->at != (char *)-1;
}

static bool large(struct place *p, int flags)
{
	p->at = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	p->shared = flags & MAP_SHARED;
	p->fixed = true;
	return p->at != MAP_FAILED;
}
static bool huge_private(struct place *p) { return large(p, MAP_PRIVATE); }
static bool huge_shared(struct place *p) { return large(p, MAP_SHARED); }

/* Among 2 TiB that nobody touched. */
static bool vast(struct place *p)
{
	const size_t size = (size_t)2 << 40;
	char *all = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return false;
	p->at = all + size / 3 / PAGE * PAGE;
	p->other = all;
	return mprotect(p->at, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0;
}

/* Pages of the program's own data, at the end of which its zeroed data begin; and memory from sbrk. */
static char data_pages[(PAGES + 1) * PAGE] = { 1 }, bss_pages[(PAGES + 1) * PAGE];
static bool in_data(struct place *p)
{
	static unsigned turn;
	p->at = (char *)(((uintptr_t)(turn++ % 2 ? data_pages : bss_pages) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	p->fixed = true;
	for (const struct place *q = places; q < p; q++) /* one a round */
		if (q->at == p->at)
			return private_anon(p) && !(p->fixed = false);
	return true;
}
static bool in_brk(struct place *p)
{
	static char *low; /* never given back, so used again */
	if (!low) {
		low = sbrk((PAGES + 1) * PAGE);
		low = low == (void *)-1 ? NULL : (char *)(((uintptr_t)low + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	}
	for (const struct place *q = places; q < p; q++)
		if (q->at == low)
			return private_anon(p);
	p->fixed = true;
	return (p->at = low) != NULL;
}

static bool named(struct place *p)
{
	static const char *const names[] = { "heap", "stack", "vdso]", "[heap", "/dev/mem", "anon_inode:x" };
	const bool shared = pick(2);
	return mapped(p, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1) && (prctl(SET_VMA, 0, p->at, PAGES * PAGE, names[pick(6)]), true);
}
static bool moved(struct place *p)
{
	if (!private_anon(p))
		return false;
	char *to = mremap(p->at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
	if (to == MAP_FAILED)
		return false;
	p->other = p->at; /* still mapped, empty */
	p->at = to;
	return true;
}

/* userfaultfd: faults on missing pages, on writes, on pages that are only in the file. Nobody serves them here, and nobody may have to. */
static int faults_fd = -1;
static bool watched(struct place *p, unsigned mode, bool shared)
{
	struct uffdio_register ask = { .mode = mode };
	if (faults_fd < 0) {
		struct uffdio_api api = { .api = UFFD_API, .features = (1 << 10) /* MINOR_SHMEM */ | (1 << 0) /* PAGEFAULT_FLAG_WP */ };
		faults_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
		if (faults_fd < 0 || ioctl(faults_fd, UFFDIO_API, &api) != 0)
			return false;
	}
	if (!(shared ? memfd_twice(p) : private_anon(p)))
		return false;
	ask.range.start = (uintptr_t)p->at;
	ask.range.len = PAGES * PAGE;
	p->fixed = true;
	return ioctl(faults_fd, UFFDIO_REGISTER, &ask) == 0;
}
static bool uffd_missing(struct place *p) { return watched(p, 1, false); }
static bool uffd_protected(struct place *p) { return watched(p, 2, false); }
static bool uffd_minor(struct place *p) { return watched(p, 4, true); }

static bool keyed(struct place *p)
{
	static int key;
	if (!key)
		key = (int)syscall(SYS_pkey_alloc, 0, 0);
	p->fixed = true;
	return key > 0 && private_anon(p) && syscall(SYS_pkey_mprotect, p->at, PAGES * PAGE, PROT_READ | PROT_WRITE, key) == 0;
}
static void keys(bool open)
{
#ifdef __x86_64__
	if (syscall(SYS_pkey_free, 15) != 0 && errno == ENOSYS)
		return;
	for (const struct place *p = places; p < places + PLACES; p++)
		if (p->history[0] == 'K')
			__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(open ? 0 : 0xfffffffc), "c"(0), "d"(0) : "memory");
#endif
}
static bool executable(struct place *p) { return mprotect(p->at, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0; }
static bool code(struct place *p) { return private_anon(p) && executable(p); }
static bool shared_code(struct place *p) { return memfd_shared(p) && executable(p); }

enum { WAY_TWICE = 1, WAY_WRITTEN = 2, WAY_MISSING = 4, WAY_CODE = 8, WAY_KEY = 16 };
static const struct way {
	const char *name;
	bool (*make)(struct place *p);
	unsigned flags;
} ways[] = {
	{ "private", private_anon, 0 }, { "noreserve", reserved, 0 }, { "locked", locked, 0 }, { "populated", populated, 0 }, { "growsdown", grows_down, 0 },
	{ "droppable", droppable, 0 }, { "shared", shared_anon, 0 }, { "memfd", memfd_shared, 0 }, { "memfd_private", memfd_private, 0 },
	{ "memfd_closed", memfd_closed, 0 }, { "memfd_sealed", memfd_sealed, 0 }, { "memfd_twice", memfd_twice, WAY_TWICE },
	{ "memfd_written", memfd_written, WAY_WRITTEN }, { "secret", secret, 0 }, { "shm_file", shm_shared, 0 }, { "shm_file_private", shm_private, 0 },
	{ "dev_file_private", dev_private, 0 }, { "dev_file", dev_shared, 0 }, { "disk_file_private", disk_private, 0 }, { "odd_name", odd_name, 0 },
	{ "dev_zero_private", zero_private, 0 }, { "dev_zero", zero_shared, 0 }, { "sysv", attached, 0 }, { "hugetlb_private", huge_private, 0 },
	{ "hugetlb_shared", huge_shared, 0 }, { "vast", vast, 0 }, { "data", in_data, 0 }, { "brk", in_brk, 0 }, { "named", named, 0 }, { "dontunmap", moved, 0 },
	{ "uffd_missing", uffd_missing, WAY_MISSING }, { "uffd_wp", uffd_protected, 0 }, { "uffd_minor", uffd_minor, WAY_TWICE }, { "key", keyed, WAY_KEY },
	{ "code", code, WAY_CODE }, { "shared_code", shared_code, WAY_CODE },
};
enum { WAYS = sizeof ways / sizeof ways[0] };
static unsigned made[WAYS], unable[WAYS], seams;

/* ---- the pointer ---- */

static void choose_offset(struct place *p)
{
	p->offset = pick(PAGES * PAGE / 4 - 1) * 4u;
	if (ways[p->way].flags & WAY_MISSING)
		p->offset = pick(PAGES) * PAGE + pick(PAGE / 4 - 1) * 4u; /* in one page */
	else if (pick(2))
		p->offset = (1 + pick(PAGES - 1)) * PAGE - 4;
	if (ways[p->way].flags & WAY_CODE)
		p->offset = pick(2) ? (1 + pick(PAGES - 1)) * PAGE - 1 - pick(7) : pick(PAGES * PAGE - 8);
	seams += p->offset % PAGE > PAGE - 8;
}

/* The block's only pointer goes to its place here, and stays nowhere else. */
static __attribute__((noinline)) void store(struct place *p)
{
	static char page[PAGE];
	for (int i = 0; i < 4; i++) {
		void *volatile decoy = malloc(SIZE);
		decoy = NULL;
		(void)decoy;
	}
	void *volatile block = malloc(SIZE);
	if (!block)
		exit(2);
	kit_fill(block, 0, SIZE, p->id);
	const unsigned flags = ways[p->way].flags;
	if (flags & WAY_MISSING) {
		memcpy(page + p->offset % PAGE, (void *)&block, sizeof block);
		struct uffdio_copy copy = { .dst = (uintptr_t)p->at + p->offset / PAGE * PAGE, .src = (uintptr_t)page, .len = PAGE };
		if (ioctl(faults_fd, UFFDIO_COPY, &copy) != 0)
			exit(2);
		memset(page, 0, sizeof page);
	} else if (flags & WAY_WRITTEN) {
		if (pwrite(p->fd, (void *)&block, sizeof block, (off_t)p->offset) != sizeof block)
			exit(2);
	} else {
		memcpy((flags & WAY_TWICE ? p->other : p->at) + p->offset, (void *)&block, sizeof block);
	}
	block = malloc(SIZE);
	block = NULL;
	(void)block;
}

/* ---- what happens around it ---- */

static void change_protection(struct place *p, size_t low, size_t size)
{
	static const int kinds[] = { PROT_NONE, PROT_READ, PROT_EXEC, PROT_READ | PROT_EXEC, PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC };
	const unsigned k = pick(6);
	note(p, " mprotect(%zu,%zu,%d)=%d", low / PAGE, size / PAGE, kinds[k], mprotect(p->at + low, size, kinds[k]));
}

static void advise(struct place *p, size_t low, size_t size)
{
	static const int kinds[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTFORK, MADV_DONTDUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE,
	                             20 /* COLD */, 21 /* PAGEOUT */, 21, 21, 18 /* WIPEONFORK */, MADV_POPULATE_READ, MADV_COLLAPSE };
	const int kind = kinds[pick(sizeof kinds / sizeof *kinds)];
	note(p, " madvise(%zu,%zu,%d)=%d", low / PAGE, size / PAGE, kind, madvise(p->at + low, size, kind));
}

/* Of shared memory any page's entry; else a page that the pointer does not lie in: a guard there, or nothing. */
static void drop(struct place *p)
{
	const size_t first = p->offset / PAGE, last = (p->offset + 7) / PAGE, page = pick(PAGES);
	if (p->shared)
		note(p, " dontneed=%d", madvise(p->at, PAGES * PAGE, MADV_DONTNEED));
	else if (page != first && page != last)
		note(p, " drop(%zu)=%d", page, madvise(p->at + page * PAGE, PAGE, pick(2) ? GUARD_INSTALL : pick(2) ? MADV_DONTNEED : MADV_FREE));
}

static void neighbour(struct place *p)
{
	const size_t first = p->offset / PAGE, last = (p->offset + 7) / PAGE, page = pick(PAGES);
	if (page == first || page == last)
		return;
	/* No hole: the collector's own memory might come to lie there, and go with the place. */
	note(p, " map_over(%zu)=%d", page, mmap(p->at + page * PAGE, PAGE, pick(2) ? PROT_READ : PROT_NONE, (pick(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
}

static void lock_some(struct place *p, size_t low, size_t size) { note(p, " mlock=%d", pick(2) ? mlock(p->at + low, size) : (int)syscall(SYS_mlock2, p->at + low, size, 1)); }

static void seal(struct place *p)
{
	static unsigned sealed;
	if (p->other || sealed >= 16 || ways[p->way].make == secret || /* protected, nobody can read that any more */
	    syscall(SEAL_CALL, p->at, PAGES * PAGE, 0) != 0)
		return;
	sealed++;
	p->sealed = true;
	note(p, " mseal");
}

static void change(struct place *p)
{
	if (ways[p->way].flags & WAY_TWICE && p->other) {
		munmap(p->other, PAGES * PAGE);
		p->other = NULL;
	}
	if (ways[p->way].flags & WAY_CODE)
		mprotect(p->at, PAGES * PAGE, PROT_READ | PROT_EXEC | (pick(2) ? PROT_WRITE : 0));
	for (unsigned n = p->fixed || ways[p->way].flags & WAY_CODE ? 0 : pick(4); n; n--) {
		/* Bounds in the middle of the pointer, as often as not. */
		const size_t low = pick(2) ? (p->offset + 7) / PAGE * PAGE : pick(PAGES) * (size_t)PAGE, size = (1 + pick((unsigned)(PAGES - low / PAGE))) * PAGE;
		switch (pick(8)) {
		case 0: case 1: case 2: change_protection(p, low, size); break;
		case 3: case 4: advise(p, low, size); break;
		case 5: drop(p); break;
		case 6: neighbour(p); break;
		default: pick(8) ? lock_some(p, low, size) : seal(p);
		}
	}
}

/* ---- a round ---- */

static bool make(struct place *p, unsigned way, uint64_t id)
{
	*p = (struct place){ .way = way, .fd = -1, .id = id };
	if (!ways[way].make(p)) {
		unable[way]++;
		return false;
	}
	if (ways[way].flags & WAY_KEY)
		note(p, "K");
	made[way]++;
	choose_offset(p);
	return true;
}

static uintptr_t hidden[LOST];
static __attribute__((noinline)) void lose(void)
{
	for (int i = 0; i < LOST; i++) {
		void *block = malloc(SIZE);
		kit_fill(block, 0, SIZE, (uint64_t)i);
		hidden[i] = kit_hide((uintptr_t)block);
	}
}
static __attribute__((noinline)) unsigned gone(void)
{
	unsigned n = 0;
	for (int i = 0; i < LOST; i++)
		n += !kit_intact((const void *)kit_hide(hidden[i]), 0, SIZE, (uint64_t)i);
	return n;
}

static __attribute__((noinline)) void collect(void)
{
	static void *noise[NOISE];
	kit_scrub();
	for (int round = 0; round < 2; round++) {
		kit_collect(1);
		for (int i = 0; i < NOISE; i++) {
			noise[i] = malloc(SIZE);
			memset(noise[i], 0x77, SIZE);
		}
		for (int i = 0; i < NOISE; i++) {
			free(noise[i]);
			noise[i] = NULL;
		}
	}
}

static uint64_t first_seed;
static bool whole(struct place *p, unsigned round)
{
	void *block = NULL;
	if (p->way < WAYS && ways[p->way].flags & WAY_TWICE && p->fd >= 0)
		(void)!pread(p->fd, &block, sizeof block, (off_t)p->offset);
	else if (p->sealed)
		return true; /* what protects it stays; nothing was lost so far, or its neighbours show it */
	else {
		const size_t first = p->offset / PAGE, last = (p->offset + 7) / PAGE;
		if (!p->fixed)
			mprotect(p->at + first * PAGE, (last - first + 1) * PAGE, PROT_READ);
		memcpy(&block, p->at + p->offset, sizeof block);
	}
	const bool torn = (uintptr_t)block >> 40 == 0 || (uint32_t)(uintptr_t)block == 0; /* no half of an address of the heap is zero */
	if (torn && ways[p->way].make == droppable) /* as the kernel may */
		return true;
	if (!torn && kit_intact(block, 0, SIZE, p->id))
		return true;
	printf("lost: seed %lu round %u: %s%s, offset %zu of page %zu:%s\n", (unsigned long)first_seed, round, ways[p->way].name, torn ? " (the pointer itself)" : "", p->offset % PAGE, p->offset / PAGE, p->history);
	return false;
}

static void unmake(struct place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (ways[p->way].make == in_data || ways[p->way].make == in_brk) {
		if (p->fixed)
			memset(p->at + p->offset, 0, 8);
		else
			munmap(p->at, PAGES * PAGE);
	} else if (ways[p->way].make == vast) {
		munmap(p->other, (size_t)2 << 40);
	} else if (!p->sealed && ways[p->way].make == attached) {
		shmdt(p->at);
	} else if (!p->sealed) {
		munmap(p->at, ways[p->way].make == huge_private || ways[p->way].make == huge_shared ? HUGE_PAGE : PAGES * PAGE);
		if (ways[p->way].make == moved)
			munmap(p->other, PAGES * PAGE);
		else if (p->other && !(ways[p->way].flags & WAY_TWICE)) {
			unlink(p->other);
			free(p->other);
		}
	}
}

int main(int argc, char **argv)
{
	if (!kit_collector())
		return 77;
	seed = first_seed = argc > 1 ? strtoull(argv[1], NULL, 0) | 1 : 1;
	const char *without = getenv("PLACES_WITHOUT");
	const unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
	unsigned lost = 0, cases = 0, of_gone = 0, in_children = 0;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned n = 0;
		const bool unseen = pick(8) == 0 || argc > 3;
		for (unsigned i = 0; i < PLACES; i++) {
			const unsigned way = pick(WAYS);
			if (ways[way].make == uffd_minor && !unseen) /* unread memory ends the round's cycles, rightly */
				continue;
			if (without && !strcmp(without, ways[way].name))
				continue;
			if ((argc < 4 || !strcmp(argv[3], ways[way].name)) && make(&places[n], way, (uint64_t)round * PLACES + i + 1000))
				n++;
		}
		for (unsigned i = 0; i < n; i++)
			store(&places[i]);
		for (unsigned i = 0; i < n; i++)
			change(&places[i]);
		lose();
		const bool in_child = pick(8) == 0;
		pid_t child = in_child ? fork() : 0;
		if (!child) {
			keys(false);
			collect();
			keys(true);
			of_gone += gone();
			unsigned damaged = 0;
			for (unsigned i = 0; i < n; i++)
				if (!(in_child && (strstr(places[i].history, ",4)=0") || strstr(places[i].history, "madvise")))) /* DONTFORK, WIPEONFORK */
					damaged += !whole(&places[i], round);
			fflush(stdout);
			if (in_child)
				_exit(damaged > 100 ? 100 : (int)damaged);
			lost += damaged;
		} else {
			int status = 0;
			waitpid(child, &status, 0);
			lost += WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 1;
			if (!WIFEXITED(status))
				printf("lost: seed %lu round %u: the child ended by signal %d\n", (unsigned long)first_seed, round, WTERMSIG(status));
			in_children += n;
		}
		cases += n;
		for (unsigned i = 0; i < n; i++)
			unmake(&places[i]);
	}
	for (unsigned i = 0; i < WAYS; i++)
		if (made[i])
			printf("%s %u\n", ways[i].name, made[i]);
		else if (unable[i])
			printf("unable %s\n", ways[i].name);
	printf("cases %u seams %u in_children %u gone %u of %u lost %u\n", cases, seams, in_children, of_gone, LOST * rounds, lost);
	return lost != 0;
}
