/*
 * Evidence by allocation site: what free and realloc tell of a block that was judged lost, immortal sites against sweep, empty spans
 * and verdicts under way, and the words of a verdict. The tests are the judge, as in
 * verdict_test.c.
 */
#include "heap_watch.h"

#include "base/tally.h"
#include "cycle/verdict.h"
#include "heap/cache.h"
#include "heap/sites.h"

static void begin(void)
{
	heap_begin();
	cr_assert(sites_start(0));
}

TestSuite(audit, .init = begin, .timeout = 120);

enum { N = 500 };

/* Two sites. heap_malloc is told its caller by its return address, so a call in each function. */
static __attribute__((noipa)) void *from_a(size_t size)
{
	void *p = heap_malloc(size);
	__asm__ volatile("# a" : "+r"(p));
	return p;
}
static __attribute__((noinline)) void *from_b(size_t size)
{
	void *p = heap_malloc(size);
	__asm__ volatile("# b" : "+r"(p)); /* another text: the compiler melts equal functions together */
	return p;
}
static uint32_t site_of(const void *p) { return sites_of(span_of(p), slot_of(p)); }
static void condemn(const void *p) { must(heap_condemn(state_at(p)), "%p is not condemned", p); }
static void recycle(const void *p) { must(heap_recycle(span_of(p), slot_of(p), state_at(p), false), "%p is not recycled", p); }

static bool in(void *const *table, unsigned n, const void *p)
{
	for (unsigned i = 0; i < n; i++)
		if (table[i] == p)
			return true;
	return false;
}

/* ---- what evidence says ---- */

Test(audit, evidence_names_site_and_caller)
{
	void *lost[2] = { from_a(100), from_a(300000) }, *other = from_b(100);
	uint32_t site[2] = { site_of(lost[0]), site_of(lost[1]) };
	cr_assert(site[0] && site[1] && sites_address(site[0]) == sites_address(site[1]));
	cr_assert_neq(sites_address(site[0]), sites_address(site_of(other)));
	heap_advance_stamp();
	for (unsigned i = 0; i < NELEM(lost); i++) {
		condemn(lost[i]);
		heap_free(lost[i]);
		cr_assert_eq(seen.evidence, i + 1);
		cr_assert_eq(seen.site, site[i]);
		cr_assert(seen.caller && state_is_condemned(seen.state));
		cr_assert_str_eq(seen.call, "free");
	}
	cr_assert_eq(seen.misuse, 0);
}

Test(audit, realloc_of_a_lost_block_is_evidence_and_the_block_goes_on)
{
	uint8_t *p = from_a(100);
	uint32_t site = site_of(p);
	fill(p, 100, 3);
	heap_advance_stamp();
	condemn(p);
	uint8_t *q = heap_realloc(p, 5000);
	cr_assert(q && holds(q, 100, 3));
	cr_assert_eq(seen.evidence, 1);
	cr_assert_eq(seen.site, site);
	cr_assert_str_eq(seen.call, "realloc");
	heap_free(q);
	cr_assert_eq(seen.evidence, 1, "it is a block like any other now");
	no_claim_failed();
}

Test(audit, a_large_block_that_realloc_moved_keeps_its_site)
{
	uint8_t *p = from_a(8 << 20), *fence = from_b(1 << 20);
	uint32_t site = site_of(p);
	p[1000] = 7;
	uint8_t *q = heap_realloc(p, 64 << 20);
	cr_assert(q && q[1000] == 7 && fence);
	cr_assert(q != p, "the fence did not hold");
	cr_assert_eq(site_of(q), site);
}

/* ---- immortal sites ---- */

/* Blocks of both sites, all recycled but not handed out yet. */
static void *of_a[N], *of_b[N];
static void recycle_all(size_t size)
{
	for (unsigned i = 0; i < N; i++) {
		fill(of_a[i] = from_a(size), size, i);
		of_b[i] = from_b(size);
	}
	heap_advance_stamp();
	for (unsigned i = 0; i < N; i++)
		condemn(of_a[i]), condemn(of_b[i]);
	heap_advance_stamp();
	for (unsigned i = 0; i < N; i++)
		recycle(of_a[i]), recycle(of_b[i]);
}

Test(audit, site_0_is_never_immortal_and_a_site_becomes_so_once)
{
	cr_assert_not(sites_make_immortal(0));
	cr_assert_not(sites_make_immortal(12345));
	cr_assert_not(sites_any_immortal());
	uint32_t site = site_of(from_a(10));
	cr_assert(sites_make_immortal(site));
	cr_assert_not(sites_make_immortal(site));
	cr_assert(sites_immortal(site) && sites_any_immortal() && !sites_immortal(0));
}

Test(audit, recycled_blocks_of_an_immortal_site_are_blocks_again)
{
	recycle_all(100);
	cr_assert(sites_make_immortal(site_of(of_a[0])));
	unsigned from_others = 0;
	for (unsigned i = 0; i < 4 * N; i++) {
		void *p = from_b(100);
		must(!in(of_a, N, p), "a block of an immortal site was handed out");
		from_others += in(of_b, N, p);
	}
	cr_assert_gt(from_others, N - 20, "blocks of the other site are recycled as ever");
	unsigned back = 0;
	for (unsigned i = 0; i < N; i++) {
		must(holds(of_a[i], 100, i), "block %u was damaged", i);
		back += state_is_allocated(state_now(of_a[i]));
	}
	cr_assert_gt(back, N - 20, "sweep passed them and left them recycled");
	for (unsigned i = 0; i < N; i++)
		if (state_is_allocated(state_now(of_a[i])))
			heap_free(of_a[i]);
	no_complaints();
}

Test(audit, an_empty_span_with_a_block_of_an_immortal_site_stays)
{
	recycle_all(100);
	uint32_t site = site_of(of_a[0]);
	cr_assert(sites_make_immortal(site));
	struct span *s = span_of(of_a[N / 2]);
	uint32_t index = s->index;
	heap_collect_empty();
	heap_release_empty();
	heap_purge(true);
	for (unsigned i = 0; i < N; i++)
		must(holds(of_a[i], 100, i), "block %u went with its span", i);
	cr_assert_eq(span_of(of_a[N / 2])->index, index);
	for (unsigned i = 0; i < 2 * N; i++)
		must(!in(of_a, N, from_b(100)), "a block of an immortal site was handed out");
}

/* As cycle.c hands it over: one record of the span that holds p, every bit set. */
static void judge_span_of(const void *p)
{
	static uint64_t room[4096];
	struct dead_span *d = (struct dead_span *)room;
	struct span *s = span_of(p);
	struct verdict v = { 0 };
	memset(room, 0xFF, sizeof room);
	d->span = s;
	d->state = s->state;
	d->block = s->block;
	d->slots = s->slots;
	d->class = s->class;
	struct dead_set set = { (uint8_t *)room, sizeof *d + (s->slots + 63) / 64 * 8, sizeof room };
	verdict_apply(&set, &v);
}

Test(audit, the_verdict_condemns_blocks_of_immortal_sites_and_leaves_them_so)
{
	void *a = from_a(3000), *b = from_b(3000);
	options.mode = MODE_COLLECT;
	options.grace = 1;
	cr_assert_eq(span_of(a), span_of(b));
	cr_assert(sites_make_immortal(site_of(a)));
	for (unsigned cycle = 0; cycle < 4; cycle++) {
		heap_advance_stamp();
		judge_span_of(a);
	}
	cr_assert(state_is_condemned(state_now(a)));
	cr_assert_eq(state_now(b), STATE_RECYCLED);
	cr_assert_eq(sites_get(site_of(b))->recycled_blocks, 1);
	cr_assert_eq(sites_get(site_of(b))->recycled_bytes, span_of(b)->block);
	cr_assert_eq(sites_get(site_of(a))->recycled_blocks, 0);
	heap_free(a);
	cr_assert_eq(seen.evidence, 1, "every such free is counted");
}

Test(audit, audit_and_report_recycle_nothing)
{
	static const unsigned modes[] = { MODE_AUDIT, MODE_REPORT };
	for (unsigned m = 0; m < NELEM(modes); m++) {
		void *p = from_a(3000);
		options.mode = modes[m];
		options.grace = 0;
		for (unsigned cycle = 0; cycle < 70; cycle++) { /* stamps go round once */
			heap_advance_stamp();
			judge_span_of(p);
			must(state_is_condemned(state_now(p)), "mode %u, cycle %u: 0x%x", modes[m], cycle, state_now(p));
		}
		heap_free(p);
		cr_assert_eq(seen.evidence, m + 1);
	}
}

/* ---- races: a verdict, frees and evidence at the same time ---- */

static uint32_t go, judged;
static void *free_some(void *unused)
{
	while (!load_acquire(&go)) {
	}
	for (unsigned i = 0; i < N; i += 3)
		heap_free(of_a[i]);
	heap_thread_exit();
	return NULL;
}
static void *end_site(void *unused)
{
	while (!load_acquire(&go)) {
	}
	while (load_acquire(&judged) < N / 2) {
	}
	sites_make_immortal(site_of(of_a[1]));
	return NULL;
}

Test(audit, evidence_during_a_verdict_loses_no_block_and_gives_none_twice)
{
	pthread_t freer, ender;
	ledger_open();
	for (unsigned round = 0; round < 20; round++) {
		store_relaxed(&go, 0);
		store_relaxed(&judged, 0);
		for (unsigned i = 0; i < N; i++)
			of_a[i] = from_a(100);
		heap_advance_stamp();
		for (unsigned i = 0; i < N; i++)
			condemn(of_a[i]);
		heap_advance_stamp();
		pthread_create(&freer, NULL, free_some, NULL);
		pthread_create(&ender, NULL, end_site, NULL);
		store_release(&go, 1);
		for (unsigned i = 0; i < N; i++) {
			struct span *s = span_of(of_a[i]);
			uint32_t slot = slot_of(of_a[i]);
			if (!sites_immortal(sites_of(s, slot)))
				heap_recycle(s, slot, &s->state[slot], false);
			store_release(&judged, i + 1);
		}
		pthread_join(freer, NULL);
		pthread_join(ender, NULL);
		/* Everything that can be had: no address twice. */
		static void *got[4 * N];
		for (unsigned i = 0; i < NELEM(got); i++) {
			got[i] = from_b(100);
			must(ledger_take(got[i]), "%p was handed out twice", got[i]);
		}
		for (unsigned i = 0; i < NELEM(got); i++) {
			must(ledger_give(got[i]), "the ledger is wrong");
			heap_free(got[i]);
		}
	}
	cr_assert_eq(seen.misuse, 0, "%s", seen.what);
}

/* ---- the words of the verdict ---- */

static const char *words(uint64_t contradictions, uint64_t judgements, uint64_t cycles, uint64_t processes)
{
	static char line[256];
	struct tally t = { contradictions, judgements, cycles, processes }, back;
	tally_text(line, sizeof line, &t);
	cr_assert(tally_parse(line, &back), "%s", line);
	cr_assert(back.contradictions == contradictions && back.judgements == judgements && back.cycles == cycles, "%s", line);
	return line;
}

Test(audit, the_verdict_in_words_reads_back)
{
	cr_assert_str_eq(words(0, 1204311, 57, 1), "audit: safe: 0 contradictions in 1,204,311 judgements over 57 cycles");
	cr_assert_str_eq(words(0, TALLY_ENOUGH, 1, 1), "audit: safe: 0 contradictions in 10,000 judgements over 1 cycle");
	cr_assert_str_eq(words(1, 12, 3, 1), "audit: not safe: 1 contradiction in 12 judgements over 3 cycles");
	cr_assert_str_eq(words(2, 1000000, 1000, 3), "audit: not safe: 2 contradictions in 1,000,000 judgements over 1,000 cycles of 3 processes");
	cr_assert(strstr(words(0, TALLY_ENOUGH - 1, 5, 1), "audit: not enough evidence: 0 contradictions in 9,999 judgements over 5 cycles: "));
	words(UINT64_MAX, UINT64_MAX, UINT64_MAX, 1);
	struct tally t;
	cr_assert(tally_parse("cgc: audit: safe: 0 contradictions in 1 judgement over 1 cycle", &t) && t.judgements == 1);
	static const char *const others[] = { "", "audit", "audit: safe: ", "audit: safe: x", "audit: safe: 1", "audit: quite safe: 1 in 2 over 3", "safe: 1 in 2 over 3",
		                              "cgc: statistics of process 3" };
	for (unsigned i = 0; i < NELEM(others); i++)
		cr_assert_not(tally_parse(others[i], &t), "%s", others[i]);
}
