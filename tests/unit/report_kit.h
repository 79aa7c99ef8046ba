/*
 * What the tests of src/report share: blocks whose addresses nothing holds but what a test says. A block is known by its complement, so that
 * neither the test's variables nor its frames are roots; addresses proper stand only in frames that have returned and are scrubbed.
 */
#ifndef CGC_TESTS_REPORT_KIT_H
#define CGC_TESTS_REPORT_KIT_H
#pragma GCC diagnostic ignored "-Wunused-function" /* no test uses all of it */

#include "heap_watch.h"

#include "cycle/cycle.h"
#include "heap/sites.h"
#include "os/os.h"
#include "report/find.h"
#include "report/report.h"
#include "roots/roots.h"
#include "threads/threads.h"

#define NOINLINE __attribute__((noinline))
typedef uint64_t hidden;

/* The address, which the compiler can compute nowhere else. */
static inline uintptr_t shown(hidden h)
{
	__asm__ volatile("" : "+r"(h));
	return ~h;
}

extern char __data_start[], _end[];
static uintptr_t *globals; /* roots: a page of their own */

static size_t report_sample; /* sample= */
static void report_begin(void)
{
	heap_begin();
	options.mode = MODE_REPORT;
	options.verify = 1;
	threads_start(0);
	roots_start();
	/* The core is linked into the test here, and its variables, which tell of the heap, are no roots. */
	roots_exclude((uintptr_t)__data_start, (uintptr_t)_end);
	globals = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(globals != MAP_FAILED, "no page");
	cycle_start();
	cr_assert(sites_start(report_sample));
}

/* What calls left on the stack and in registers goes. */
static NOINLINE void scrub(void)
{
	volatile uintptr_t hole[4096];
	for (unsigned i = 0; i < NELEM(hole); i++)
		hole[i] = 0;
	__asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15", "memory");
}

/* A zeroed block of site `site`, 1.. */
static NOINLINE hidden block_of(size_t size, unsigned site)
{
	void *p = heap_calloc_from(1, size, (void *)(uintptr_t)(0x1000 + site));
	must(p, "no memory");
	return ~(uintptr_t)p;
}
static uint32_t site_of(hidden h) { return sites_of(span_of((void *)shown(h)), slot_of((void *)shown(h))); }
static uint64_t bytes_of(hidden h) { return block_bytes(span_of((void *)shown(h)), slot_of((void *)shown(h))); }
static NOINLINE void put(hidden holder, size_t offset, hidden target, size_t into) { *(uintptr_t *)(shown(holder) + offset) = shown(target) + into; }
static NOINLINE void put_word(hidden holder, size_t offset, uintptr_t word) { *(uintptr_t *)(shown(holder) + offset) = word; }
static NOINLINE void hold(unsigned global, hidden target, size_t into) { globals[global] = shown(target) + into; }

static NOINLINE void take(struct report *r, unsigned flags)
{
	scrub();
	report_take(r, flags);
	must(r->complete, "no report: %s", r->reason);
}

static const struct report_site *site_in(const struct report *r, hidden h)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->sites[i].s.frame == site_of(h))
			return &r->sites[i];
	return NULL;
}
static const struct snapshot_block *block_in(const struct report *r, hidden h)
{
	for (uint64_t i = 0; i < r->block_count; i++)
		if (~r->blocks[i].address == h)
			return &r->blocks[i];
	return NULL;
}
/* Kind and rule of one block; -1: it is not listed. */
static int kind_of(const struct report *r, hidden h) { return block_in(r, h) ? block_in(r, h)->kind : -1; }
static int rule_of(const struct report *r, hidden h) { return block_in(r, h) ? block_in(r, h)->rule : -1; }
static hidden owner_of(const struct report *r, hidden h) { return block_in(r, h) ? ~block_in(r, h)->owner : 0; }

#endif
