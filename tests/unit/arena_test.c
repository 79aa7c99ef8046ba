/*
 * The arena below the blocks: runs of pages, growth around holes, refusal and recovery when the system has no memory,
 * and what the purge gives back. Seen through large blocks, which are runs.
 */
#include "heap_watch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/fault.h"

TestSuite(arena, .init = heap_begin, .fini = no_complaints, .timeout = 120);

enum { RUN = 4 * PAGE, RUNS = 64 };

static void fail(const char *what) { must(fault_parse(what) == NULL, "fault %s", what); }
static void mend(void) { fault_armed = false; }

/* Free pages that follow each other are one run: descriptors of neighbouring free runs would name a lost merge. */
static unsigned free_runs(size_t *pages)
{
	unsigned runs = 0;
	*pages = 0;
	for (uint32_t i = 0; i < span_count(); i++)
		if (arena.spans[i].kind == SPAN_FREE_RUN) {
			runs++;
			*pages += arena.spans[i].pages;
		}
	return runs;
}

Test(arena, large_blocks_start_on_pages_and_do_not_overlap)
{
	uint8_t *p[RUNS];
	for (unsigned i = 0; i < RUNS; i++) {
		p[i] = heap_malloc(SMALL_MAX + 1 + i * 5000);
		must(p[i] && (uintptr_t)p[i] % 16 == 0, "block %u at %p", i, (void *)p[i]);
		memset(p[i], (int)i + 1, heap_usable(p[i]));
	}
	for (unsigned i = 0; i < RUNS; i++)
		must(all_bytes(p[i], heap_usable(p[i]), (uint8_t)(i + 1)), "block %u was overwritten", i);
	for (unsigned i = 0; i < RUNS; i++) {
		struct span *s = span_of(p[i]);
		must(s->kind == SPAN_LARGE && s->slots == 1 && s->state == &s->byte && s->start == (uintptr_t)p[i], "block %u", i);
		for (size_t at = 0; at < heap_usable(p[i]); at += PAGE)
			must(arena_span((uintptr_t)p[i] + at) == s, "page %zu of block %u leads elsewhere", at / PAGE, i);
		heap_free(p[i]);
	}
}

Test(arena, runs_split_and_coalesce_in_every_order)
{
	static const unsigned steps[] = { 1, 3, 5, 7, 63 };
	void *p[RUNS];
	size_t pages, before_pages, mapped;
	void *warm = heap_malloc((size_t)RUNS * (RUN + PAGE));
	heap_free(warm);
	mapped = mapped_bytes();
	unsigned before = free_runs(&before_pages);
	for (unsigned k = 0; k < NELEM(steps); k++) {
		for (unsigned i = 0; i < RUNS; i++)
			p[i] = heap_malloc(RUN - 1);
		for (unsigned half = 0; half < 2; half++)
			for (unsigned i = 0; i < RUNS; i++)
				if (i * steps[k] % RUNS % 2 == half)
					heap_free(p[i * steps[k] % RUNS]);
		must(free_runs(&pages) <= before && pages >= before_pages, "step %u: %u runs of %zu pages, before %u of %zu", steps[k],
			free_runs(&pages), pages, before, before_pages);
		void *all = heap_malloc((size_t)RUNS * RUN - 1);
		must(all && mapped_bytes() == mapped, "step %u: the whole did not fit where its parts were", steps[k]);
		heap_free(all);
	}
}

Test(arena, no_two_free_runs_of_one_kind_are_neighbours)
{
	static void *p[500];
	uint64_t n = 5;
	for (unsigned i = 0; i < 20000; i++) {
		void **h = &p[noise(&n) % NELEM(p)];
		heap_free(*h);
		*h = heap_malloc(SMALL_MAX + noise(&n) % 400000);
	}
	size_t pages;
	free_runs(&pages);
	for (uint32_t i = 0; i < span_count(); i++) {
		struct span *s = &arena.spans[i];
		if (s->kind != SPAN_FREE_RUN)
			continue;
		for (uint32_t k = 0; k < span_count(); k++) {
			struct span *o = &arena.spans[k];
			must(o->kind != SPAN_FREE_RUN || o->dirty != s->dirty || o->start != s->start + (uintptr_t)s->pages * PAGE,
				"runs %u and %u touch", i, k);
		}
	}
	for (unsigned i = 0; i < NELEM(p); i++)
		heap_free(p[i]);
}

Test(arena, aligned_runs_waste_nothing_for_good)
{
	size_t before = live_bytes();
	for (size_t align = PAGE; align <= 16u << 20; align *= 2) {
		void *p[4];
		for (unsigned i = 0; i < NELEM(p); i++) {
			p[i] = heap_aligned(align, 3 * PAGE);
			must(p[i] && (uintptr_t)p[i] % align == 0, "run aligned to %zu at %p", align, p[i]);
			memset(p[i], 1, 3 * PAGE);
			must(live_bytes() - before <= (i + 1) * 5 * (size_t)PAGE, "alignment %zu costs %zu", align, live_bytes() - before);
		}
		for (unsigned i = 0; i < NELEM(p); i++)
			heap_free(p[i]);
		must(live_bytes() == before, "alignment %zu leaks", align);
	}
}

Test(arena, growth_goes_around_a_foreign_mapping)
{
	enum { STEP = 8 << 20 };
	uintptr_t end = arena.base + load_acquire(&arena.limit);
	char *hole = mmap((void *)end, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	bool ours = hole == (char *)end;
	if (ours)
		memset(hole, 0x6B, PAGE);
	else if (hole != MAP_FAILED)
		munmap(hole, PAGE);
	void *p[32];
	for (unsigned i = 0; i < NELEM(p); i++) {
		p[i] = heap_malloc(STEP);
		must(p[i], "allocation %u failed beside a hole", i);
		must(!ours || (uintptr_t)p[i] + STEP <= end || (uintptr_t)p[i] >= end + PAGE, "a block lies over the foreign page");
		memset(p[i], 1, PAGE);
		((char *)p[i])[STEP - 1] = 1;
	}
	if (ours) {
		cr_assert(all_bytes(hole, PAGE, 0x6B), "the foreign page was written");
		struct block_info b;
		cr_assert_eq(heap_find(end, &b), FOUND_NOTHING);
		cr_assert_eq(heap_find(end + PAGE - 1, &b), FOUND_NOTHING);
	}
	for (unsigned i = 0; i < NELEM(p); i++)
		heap_free(p[i]);
	heap_purge(true);
	if (ours)
		cr_assert(all_bytes(hole, PAGE, 0x6B), "the purge reached the foreign page");
}

Test(arena, growth_survives_many_holes)
{
	for (unsigned round = 0; round < 6; round++) {
		uintptr_t end = arena.base + load_acquire(&arena.limit);
		mmap((void *)(end + round * PAGE), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		void *p = heap_malloc(40u << 20);
		must(p, "no memory behind hole %u", round);
		memset(p, 1, 40u << 20);
	}
}

Test(arena, no_memory_is_null_and_then_recovers)
{
	fail("mmap/mprotect"); /* sanitizer builds grow by the latter */
	void *p = heap_malloc(512u << 20);
	cr_assert_null(p);
	cr_assert_geq(seen.exhausted, 1, "nobody was asked to free some");
	mend();
	p = heap_malloc(512u << 20);
	cr_assert_not_null(p, "one refusal is not for ever");
	memset(p, 1, 4096);
	heap_free(p);
}

Test(arena, small_blocks_run_out_and_come_back)
{
	enum { COUNT = 2000000 };
	static void *p[COUNT];
	heap_free(heap_malloc(400)); /* the first step of the arena */
	fail("mmap/mprotect"); /* sanitizer builds grow by the latter */
	unsigned n = 0;
	while (n < COUNT && (p[n] = heap_malloc(400)))
		memset(p[n++], 0x3C, 400);
	must(n > 1000 && n < COUNT, "%u blocks without any mmap", n);
	cr_assert_null(heap_malloc(400));
	cr_assert_null(heap_calloc(1, 400));
	cr_assert_null(heap_aligned(64, 400));
	void *moved = heap_realloc(p[0], 4000);
	cr_assert(moved == NULL || moved != p[0]);
	if (moved)
		p[0] = moved;
	for (unsigned i = 0; i < n; i++)
		must(all_bytes(p[i], 400, 0x3C), "block %u was touched", i);
	for (unsigned i = 0; i < n; i++)
		heap_free(p[i]);
	for (unsigned i = 0; i < n / 2; i++)
		must((p[i] = heap_malloc(400)), "freed memory is not reused without mmap");
	mend();
}

static bool rescue(size_t bytes)
{
	(void)bytes;
	mend();
	add_relaxed(&seen.exhausted, 1);
	return true;
}
Test(arena, exhausted_may_free_some_and_malloc_tries_again)
{
	heap_hooks.exhausted = rescue;
	fail("mmap/mprotect"); /* sanitizer builds grow by the latter */
	void *p = heap_malloc(512u << 20);
	cr_assert_not_null(p);
	cr_assert_eq(seen.exhausted, 1);
	heap_free(p);
}

/* The Nth mmap fails once: nothing crashes, and what failed works when tried again. */
static int life_with(unsigned nth, bool started)
{
	char what[32];
	snprintf(what, sizeof what, "mmap@%u", nth);
	record_hooks();
	if (started)
		heap_start();
	if (fault_parse(what))
		return 2;
	static const size_t sizes[] = { 100, 70000, 3000, 5u << 20, 24, 40u << 20, 60000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		void *p = NULL;
		for (unsigned attempt = 0; attempt < 3 && !p; attempt++)
			p = heap_malloc(sizes[i]);
		if (!p)
			return 10 + (int)i;
		memset(p, 1, sizes[i]);
		heap_free(p);
	}
	return 0;
}
static int status_of(pid_t child)
{
	int status = 0;
	return waitpid(child, &status, 0) == child ? status : -1;
}
Test(arena_cold, one_failing_mmap_anywhere_does_no_harm, .timeout = 60)
{
	for (unsigned nth = 1; nth <= 24; nth++) {
		bool started = nth > 12;
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			_exit(life_with(started ? nth - 12 : nth, started));
		}
		int status = status_of(child);
		if (!started && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			continue; /* no heap at all: a process without malloc can only say so */
		must(WIFEXITED(status), "mmap %u: the child died of signal %d", nth, WTERMSIG(status));
		must(WEXITSTATUS(status) == 0, "mmap %u: the child ended with %d", nth, WEXITSTATUS(status));
	}
}

#if !CONFIG_RESERVE /* those builds take what the kernel gives */
/* Pairs of small numbers in the program's data are to be no addresses of a heap of up to a gigabyte. */
Test(arena_cold, the_lower_halves_of_addresses_are_no_small_numbers, .timeout = 60)
{
	for (int i = 0; i < 100; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			heap_start();
			const uint32_t low = (uint32_t)arena.base;
			_exit(low < 0x10000000 || low > 0xc0000000 || arena.base < 0x281000000000 || arena.base > 0x2f8000000000);
		}
		must(status_of(child) == 0, "start %d: the arena is elsewhere", i);
	}
}
#endif

Test(arena_cold, a_start_without_memory_ends_with_one_line_and_abort, .timeout = 60)
{
	int out[2];
	cr_assert_eq(pipe(out), 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(20);
		dup2(out[1], 2);
		record_hooks();
		_exit(fault_parse("mmap/mprotect") ? 2 : heap_malloc(100) ? 3 : 4);
	}
	close(out[1]);
	char line[1024] = "";
	ssize_t n = read(out[0], line, sizeof line - 1);
	int status = status_of(child);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", status);
	cr_assert(n > 5 && strncmp(line, "cgc: ", 5) == 0 && strchr(line, '\n') == line + n - 1, "it said: %s", line);
}

#if !SANITIZED /* their shadow maps address space of its own whenever it likes */
static size_t address_space(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%zu", &pages) != 1)
		return 0;
	fclose(f);
	return pages * 4096;
}
static int life_under_a_limit(void)
{
	static void *p[4096];
	size_t vsz = address_space(), limit = vsz + (200u << 20);
	if (!vsz || setrlimit(RLIMIT_AS, &(struct rlimit){ limit, limit }))
		return 2;
	unsigned n = 0;
	while (n < NELEM(p) && (p[n] = heap_malloc(100000)))
		memset(p[n++], 1, 100000);
	size_t got = (size_t)n * 100000;
	if (n == NELEM(p))
		return 3; /* the limit was not felt */
	if (got < 100u << 20)
		return 4; /* half of it must be usable whatever the steps of growth are */
	unsigned small = 0;
	while (heap_malloc(100) && small < 4000000)
		small++;
	if (small == 4000000)
		return 5;
	for (unsigned i = 0; i < n; i++)
		heap_free(p[i]);
	if (!heap_malloc(50u << 20))
		return 6; /* what was freed is one run again */
	for (unsigned i = 0; i < 10000; i++)
		if (!heap_malloc(100))
			return 7;
	return seen.misuse ? 8 : 0;
}
Test(arena, address_space_limit_is_used_up_and_survived)
{
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		_exit(life_under_a_limit());
	}
	int status = status_of(child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

Test(arena, reserves_no_address_space_it_does_not_use)
{
	/* ulimit -v, mlockall and overcommit 2 all count what is mapped. */
	size_t before = address_space();
	void *p = heap_malloc(1u << 20);
	size_t after = address_space();
	cr_assert_leq(after - before, 160u << 20);
	cr_assert_leq(mapped_bytes(), 128u << 20);
	heap_free(p);
}
#endif

Test(arena, heap_limit_holds)
{
	heap_set_limit(64u << 20);
	static void *p[2000];
	unsigned n = 0;
	while (n < NELEM(p) && (p[n] = heap_malloc(100000)))
		n++;
	must(n < NELEM(p), "the limit was not felt");
	must((size_t)n * 100000 <= 64u << 20 && (size_t)n * 131072 >= 40u << 20, "%u blocks of 100000 under a limit of 64 MiB", n);
	cr_assert_geq(seen.exhausted, 1);
	for (unsigned i = 0; i < n; i++)
		heap_free(p[i]);
	cr_assert_not_null(p[0] = heap_malloc(30u << 20), "nothing is left of the limit after everything was freed");
	heap_free(p[0]);
}

Test(arena, purge_waits_a_second_unless_told)
{
	enum { SIZE = 32 << 20 };
	heap_purge(true);
	uint8_t *p = heap_malloc(SIZE);
	memset(p, 1, SIZE);
	heap_free(p);
	struct heap_totals t;
	heap_totals(&t);
	cr_assert_geq(t.dirty, SIZE);
	cr_assert_lt(heap_purge(false), SIZE, "purged at once");
	usleep(1300000);
	size_t resident = resident_bytes(), purged = heap_purge(false);
	cr_assert_geq(purged, SIZE, "after a second %zu bytes were purged", purged);
	cr_assert_lt(resident_bytes() + SIZE / 2, resident, "RSS stays");
	heap_totals(&t);
	cr_assert_leq(t.dirty, PAGE);
	cr_assert_eq(heap_purge(true), 0, "there is nothing twice");
	p = heap_calloc(1, SIZE);
	cr_assert(all_bytes(p, SIZE, 0));
	heap_free(p);
}

Test(arena, a_failing_madvise_keeps_memory_dirty_and_calloc_clean)
{
	enum { SIZE = 4 << 20 };
	uint8_t *p = heap_malloc(SIZE);
	memset(p, 0xEE, SIZE);
	heap_free(p);
	fail("madvise@1..");
	heap_purge(true);
	mend();
	for (unsigned i = 0; i < 8; i++) {
		p = heap_calloc(1, SIZE);
		must(all_bytes(p, SIZE, 0), "a purge that failed was believed");
	}
}

Test(arena, totals_add_up)
{
	struct heap_totals t;
	void *p = heap_malloc(10u << 20);
	heap_totals(&t);
	cr_assert_geq(t.live, 10u << 20);
	cr_assert_geq(t.mapped, t.live);
	cr_assert_leq(t.mapped, load_acquire(&arena.limit));
	cr_assert_leq(t.dirty, t.mapped - t.live);
	cr_assert(t.metadata > 0 && t.metadata < 16u << 20, "metadata is %zu", t.metadata);
	heap_free(p);
}
