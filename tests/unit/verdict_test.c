/*
 * The verdict's moves on state bytes: condemn, return, recycle, evidence, and the races with owners and other threads that
 * free the same block meanwhile (law 7). Nobody marks here: the tests are the judge, and advance the stamp while no other
 * thread runs, as a stop would.
 */
#include "heap_watch.h"

TestSuite(verdict, .init = heap_begin, .timeout = 120);

static bool condemn(const void *p) { return heap_condemn(state_at(p)); }
static bool recycle(const void *p, bool pattern_wanted)
{
	return heap_recycle(span_of(p), slot_of(p), state_at(p), pattern_wanted);
}

Test(verdict, stamps_run_from_1_to_63_and_around)
{
	uint8_t at = arena.stamp;
	cr_assert(at >= 1 && at <= 63);
	for (unsigned i = 0; i < 200; i++) {
		uint8_t next = heap_advance_stamp();
		must(next == (at == 63 ? 1 : at + 1), "after %u comes %u", at, next);
		must(arena.stamp == next, "the result is not current");
		at = next;
	}
}

Test(verdict, blocks_carry_the_stamp_of_their_refill)
{
	void *p = heap_malloc(3000);
	cr_assert_eq(state_now(p), STATE_ALLOCATED | arena.stamp);
	uint8_t then = arena.stamp;
	uint8_t now = heap_advance_stamp();
	cr_assert_eq(state_now(p), STATE_ALLOCATED | then, "advancing restamps blocks");
	void *q = NULL;
	static void *spent[5000];
	for (unsigned i = 0; i < NELEM(spent); i++)
		q = spent[i] = heap_malloc(3000);
	cr_assert_eq(state_now(q), STATE_ALLOCATED | now, "a refill after the stop writes the old stamp");
	void *large = heap_malloc(200000);
	cr_assert_eq(state_now(large), STATE_ALLOCATED | now);
}

Test(verdict, blocks_newer_than_the_stop_are_not_condemned)
{
	/* Freed and refilled between snapshot and verdict, the slot is another block: its byte carries the current stamp. */
	heap_advance_stamp();
	void *large = heap_malloc(200000);
	cr_assert_eq(state_now(large), STATE_ALLOCATED | arena.stamp);
	cr_assert_not(condemn(large));
	cr_assert_eq(state_now(large), STATE_ALLOCATED | arena.stamp);
	static void *spent[600];
	for (unsigned i = 0; i < NELEM(spent); i++)
		spent[i] = heap_malloc(1000);
	void *p = spent[NELEM(spent) - 1];
	cr_assert_not(condemn(p));
	cr_assert_eq(state_now(p), STATE_ALLOCATED | arena.stamp);
}

Test(verdict, condemned_carries_the_stamp_of_its_cycle_and_ages)
{
	void *p = heap_malloc(500);
	uint8_t cycle = heap_advance_stamp();
	cr_assert(condemn(p));
	cr_assert_eq(state_now(p), STATE_CONDEMNED | cycle);
	heap_advance_stamp();
	heap_advance_stamp();
	cr_assert_eq(state_now(p), STATE_CONDEMNED | cycle, "its age is the distance to the current stamp");
	cr_assert_not(condemn(p), "condemned is condemned once");
	cr_assert_eq(state_now(p), STATE_CONDEMNED | cycle, "a second condemnation made it younger");
}

Test(verdict, only_condemned_becomes_recycled)
{
	uint8_t *p = heap_malloc(500), *gone = heap_malloc(500);
	heap_free(gone);
	heap_advance_stamp();
	cr_assert_not(recycle(p, false), "an allocated block was recycled");
	cr_assert(state_is_allocated(state_now(p)));
	cr_assert_not(condemn(gone), "a free slot was condemned");
	cr_assert_not(recycle(gone, false), "a free slot was recycled");
	cr_assert_eq(state_now(gone), STATE_FREE);
	cr_assert(condemn(p));
	heap_advance_stamp();
	int32_t before = load_relaxed(&span_of(p)->recycled);
	cr_assert(recycle(p, false));
	cr_assert_eq(state_now(p), STATE_RECYCLED);
	cr_assert_eq(load_relaxed(&span_of(p)->recycled), before + 1);
	cr_assert_not(recycle(p, false), "recycled twice");
	cr_assert_not(condemn(p), "recycled, then condemned");
	cr_assert_eq(load_relaxed(&span_of(p)->recycled), before + 1);
}

Test(verdict, a_condemned_block_is_still_a_block)
{
	uint8_t *p = heap_malloc(500);
	fill(p, 500, 1);
	heap_advance_stamp();
	cr_assert(condemn(p));
	struct block_info b;
	cr_assert_eq(heap_find((uintptr_t)p + 77, &b), FOUND_BLOCK);
	cr_assert(b.start == (uintptr_t)p && state_is_condemned(b.state));
	cr_assert_geq(heap_usable(p), 500);
	static void *others[5000];
	for (unsigned i = 0; i < NELEM(others); i++) {
		others[i] = heap_malloc(500);
		must(others[i] != p, "a condemned slot was handed out");
		memset(others[i], 0xFF, 500);
	}
	cr_assert(holds(p, 500, 1));
	heap_advance_stamp();
	cr_assert(recycle(p, false));
	cr_assert_neq(heap_find((uintptr_t)p, &b), FOUND_BLOCK, "a recycled slot is still a block");
}

Test(verdict, recycled_slots_are_handed_out_again_by_refill)
{
	static const size_t sizes[] = { 10, 24, 100, 500, 3000, 9000, 40000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		size_t n = sizes[i];
		void *fillers[300], *p[20];
		unsigned count = n > 5000 ? 30 : 300;
		for (unsigned k = 0; k < count; k++)
			fillers[k] = heap_malloc(n);
		(void)fillers;
		for (unsigned k = 0; k < NELEM(p); k++)
			fill(p[k] = heap_malloc(n), n, k);
		heap_advance_stamp();
		for (unsigned k = 0; k < NELEM(p); k++)
			must(condemn(p[k]), "size %zu: not condemned", n);
		heap_advance_stamp();
		for (unsigned k = 0; k < NELEM(p); k++)
			must(recycle(p[k], false), "size %zu: not recycled", n);
		unsigned limit = 3 * (span_of(p[0])->slots + 400);
		uint8_t now = arena.stamp;
		unsigned back = 0;
		struct span *s = span_of(p[0]);
		while (limit-- && back < NELEM(p)) {
			void *q = heap_malloc(n);
			for (unsigned k = 0; k < NELEM(p); k++)
				if (p[k] == q) {
					back++;
					must(state_now(q) == (STATE_ALLOCATED | now), "size %zu: reused with byte %02x", n, state_now(q));
				}
		}
		must(back == NELEM(p), "size %zu: %u of %zu recycled slots came back", n, back, NELEM(p));
		must(load_relaxed(&s->recycled) == 0, "size %zu: %d recycled slots are left over", n, load_relaxed(&s->recycled));
	}
	no_complaints();
}

Test(verdict, recycled_slots_come_back_clean_for_calloc)
{
	static uint8_t *p[200];
	for (unsigned k = 0; k < NELEM(p); k++)
		memset(p[k] = heap_malloc(100), 0xEE, 100);
	heap_advance_stamp();
	for (unsigned k = 0; k < NELEM(p); k++)
		must(condemn(p[k]), "not condemned");
	heap_advance_stamp();
	for (unsigned k = 0; k < NELEM(p); k++)
		must(recycle(p[k], k % 2), "not recycled");
	for (unsigned k = 0; k < 3000; k++)
		must(all_bytes(heap_calloc(1, 100), 100, 0), "calloc gave recycled contents");
}

Test(verdict, fill_overwrites_when_asked_and_only_then)
{
	static const size_t sizes[] = { 16, 100, 3000, 40000 };
	for (unsigned i = 0; i < NELEM(sizes); i++)
		for (unsigned wanted = 0; wanted < 2; wanted++) {
			size_t n = sizes[i];
			uint8_t *p = heap_malloc(n);
			memset(p, 0x11, n);
			heap_advance_stamp();
			must(condemn(p) && all_bytes(p, n, 0x11), "condemning %zu changed it", n);
			heap_advance_stamp();
			must(recycle(p, wanted), "not recycled");
			unsigned old = 0;
			for (size_t k = 0; k < n; k++)
				old += p[k] == 0x11;
			if (wanted)
				must(old == 0, "%u bytes of %zu survive the fill", old, n);
			else
				must(old == n, "%u bytes of %zu are left without fill", old, n);
		}
}

Test(verdict, a_recycled_large_block_goes_back_at_once)
{
	uint8_t *p = heap_malloc(1u << 20), *fence = heap_malloc(1u << 20);
	size_t before = live_bytes();
	heap_advance_stamp();
	cr_assert(condemn(p));
	struct block_info b;
	cr_assert_eq(heap_find((uintptr_t)p + 500000, &b), FOUND_BLOCK);
	heap_advance_stamp();
	cr_assert(recycle(p, false));
	cr_assert_neq(heap_find((uintptr_t)p + 500000, &b), FOUND_BLOCK);
	cr_assert_leq(live_bytes(), before - (1u << 20));
	heap_free(p);
	cr_assert_eq(seen.evidence, 1, "a late free into it is evidence");
	cr_assert_eq(seen.misuse, 0, "not misuse: %s", seen.what);
	heap_free(fence);
}

Test(verdict, free_of_a_condemned_block_is_evidence_and_frees)
{
	static const size_t sizes[] = { 24, 500, 9000, 40000, 300000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		void *p = heap_malloc(sizes[i]), *keep = heap_malloc(sizes[i]);
		size_t live = live_bytes();
		heap_advance_stamp();
		must(condemn(p), "not condemned");
		uint8_t byte = state_now(p);
		memset(&seen, 0, sizeof seen);
		heap_free(p);
		must(seen.evidence == 1 && seen.misuse == 0, "size %zu: %u evidence, %u misuse", sizes[i], seen.evidence, seen.misuse);
		must(seen.last == p && seen.state == byte, "size %zu: evidence of %p %02x", sizes[i], seen.last, seen.state);
		must(strcmp(seen.call, "free") == 0, "call %s", seen.call);
		struct block_info b;
		must(heap_find((uintptr_t)p, &b) != FOUND_BLOCK, "size %zu: still a block", sizes[i]);
		must(live_bytes() <= live, "size %zu: live grew", sizes[i]);
		heap_free(p);
		must(seen.misuse == 1 && seen.evidence == 1, "size %zu: then a double free is misuse", sizes[i]);
		heap_free(keep);
	}
}

Test(verdict, free_of_a_recycled_block_is_evidence_and_ignored)
{
	void *p = heap_malloc(500);
	heap_advance_stamp();
	cr_assert(condemn(p));
	heap_advance_stamp();
	cr_assert(recycle(p, false));
	heap_free(p);
	cr_assert(seen.evidence == 1 && seen.misuse == 0);
	cr_assert(seen.last == p && seen.state == STATE_RECYCLED);
	cr_assert_eq(state_now(p), STATE_RECYCLED, "a free changed a recycled byte");
	heap_free(p);
	cr_assert_eq(seen.evidence, 2);
	ledger_open();
	for (unsigned i = 0; i < 5000; i++)
		must(ledger_take(heap_malloc(500)), "a slot was handed out twice");
}

Test(verdict, realloc_of_condemned_and_recycled_blocks_is_evidence)
{
	uint8_t *p = heap_malloc(500);
	fill(p, 500, 1);
	heap_advance_stamp();
	cr_assert(condemn(p));
	uint8_t *q = heap_realloc(p, 5000);
	cr_assert(seen.evidence == 1 && seen.misuse == 0, "%u evidence, %u misuse", seen.evidence, seen.misuse);
	cr_assert_str_eq(seen.call, "realloc");
	cr_assert(q && holds(q, 500, 1), "contents of a condemned block are whole and must be kept");
	cr_assert(state_is_allocated(state_now(q)));
	uint8_t *r = heap_malloc(500);
	heap_advance_stamp();
	cr_assert(condemn(r));
	heap_advance_stamp();
	cr_assert(recycle(r, false));
	heap_realloc(r, 600);
	cr_assert(seen.evidence == 2 && seen.misuse == 0);
	cr_assert_eq(state_now(r), STATE_RECYCLED);
}

/* -- races -- */
enum { RACE = 4000, ROUNDS = 12 };
static void *volatile blocks[RACE];
static struct { struct span *span; uint8_t *state; uint32_t slot; } seen_at[RACE]; /* as a dead set would say */
static pthread_barrier_t gate;
static bool judge_recycles, owner_is_judged;

/* Frees every block; which of them the judge reached first is chance. */
static void *freeing(void *arg)
{
	(void)arg;
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (owner_is_judged)
			for (unsigned i = 0; i < RACE; i++)
				claim((blocks[i] = heap_malloc(56)) != NULL, "malloc");
		pthread_barrier_wait(&gate); /* allocated */
		pthread_barrier_wait(&gate); /* stamp advanced, perhaps condemned */
		for (unsigned i = 0; i < RACE; i++)
			heap_free(blocks[i]);
		pthread_barrier_wait(&gate); /* freed and judged */
		pthread_barrier_wait(&gate); /* looked at */
	}
	heap_thread_exit();
	return NULL;
}

static void race(void)
{
	pthread_t t;
	pthread_barrier_init(&gate, NULL, 2);
	size_t before = live_bytes();
	cr_assert_eq(pthread_create(&t, NULL, freeing, NULL), 0);
	unsigned judged = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (!owner_is_judged)
			for (unsigned i = 0; i < RACE; i++)
				must((blocks[i] = heap_malloc(56)), "malloc");
		pthread_barrier_wait(&gate);
		for (unsigned i = 0; i < RACE; i++) {
			seen_at[i].span = span_of(blocks[i]);
			seen_at[i].state = state_at(blocks[i]);
			seen_at[i].slot = slot_of(blocks[i]);
		}
		heap_advance_stamp();
		if (judge_recycles) {
			for (unsigned i = 0; i < RACE; i++)
				must(condemn(blocks[i]), "round %u: block %u is new to the judge", round, i);
			heap_advance_stamp();
		}
		uint32_t evidence = load_relaxed(&seen.evidence), won = 0, is_recycled = 0;
		pthread_barrier_wait(&gate);
		for (unsigned i = RACE; i-- > 0;) /* the other way round, so that both meet */
			won += judge_recycles ? heap_recycle(seen_at[i].span, seen_at[i].slot, seen_at[i].state, false)
			                      : heap_condemn(seen_at[i].state);
		pthread_barrier_wait(&gate);
		/* Condemned or recycled first: the free is evidence. Freed first: the verdict lost and said so. A verdict that falls
		   between the owner's look at the byte and its store of 0 wins its CAS and loses to that store (law 7), so there may
		   be fewer pieces of evidence than verdicts. When the judge recycles, all were condemned: each free is evidence. */
		evidence = load_relaxed(&seen.evidence) - evidence;
		must(judge_recycles ? evidence == RACE : evidence <= won, "round %u: %u verdicts but %u evidence", round, won, evidence);
		for (unsigned i = 0; i < RACE; i++) {
			uint8_t byte = state_or_free(blocks[i]);
			is_recycled += byte == STATE_RECYCLED;
			must(!state_is_condemned(byte), "round %u: a freed block stayed condemned", round);
			must(byte != STATE_FILLING, "round %u: a block stayed in the making", round);
		}
		if (judge_recycles)
			must(is_recycled <= won, "round %u: %u recycled bytes of %u verdicts", round, is_recycled, won);
		judged += won;
		/* Every slot is free exactly once: hand them all out again. */
		ledger_open();
		static void *again[RACE];
		for (unsigned i = 0; i < RACE; i++)
			must((again[i] = heap_malloc(56)) && ledger_take(again[i]), "round %u: a slot was on two lists", round);
		for (unsigned i = 0; i < RACE; i++)
			heap_free(again[i]);
		munmap(ledger, LEDGER);
		pthread_barrier_wait(&gate);
	}
	pthread_join(t, NULL);
	heap_thread_exit();
	must(seen.misuse == 0, "a race made misuse: %s", seen.what);
	no_claim_failed();
	cr_log_info("the judge won %u of %u", judged, RACE * ROUNDS);
	if (!judge_recycles)
		must(live_bytes() <= before, "%zd bytes are lost", (ssize_t)(live_bytes() - before));
}

Test(verdict, condemn_against_a_remote_free) { race(); }
Test(verdict, recycle_against_a_remote_free) { judge_recycles = true; race(); }
Test(verdict, condemn_against_the_owners_free) { owner_is_judged = true; race(); }
Test(verdict, recycle_against_the_owners_free) { judge_recycles = owner_is_judged = true; race(); }

/* Threads that allocate and free all the time while blocks nobody holds are judged and come back to them. */
static bool stop_churn;
static void *lost[4][2000];
static void *churning(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t n = me * 77 + 1;
	static _Thread_local void *held[500];
	for (unsigned i = 0; i < NELEM(lost[me]); i++)
		claim((lost[me][i] = heap_malloc(noise(&n) % 200)) && ledger_take(lost[me][i]), "given out twice before the judge");
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	while (!load_relaxed(&stop_churn))
		for (unsigned i = 0; i < 2000; i++) {
			void **h = &held[noise(&n) % NELEM(held)];
			if (*h) {
				claim(ledger_give(*h), "held block was given away");
				heap_free(*h);
			}
			size_t size = noise(&n) % 200;
			*h = heap_malloc(size);
			claim(*h && ledger_take(*h), "an address was given out twice at once");
			memset(*h, (int)me, size);
		}
	for (unsigned i = 0; i < NELEM(held); i++)
		if (held[i]) {
			ledger_give(held[i]);
			heap_free(held[i]);
		}
	heap_thread_exit();
	return NULL;
}

Test(verdict, recycling_beside_running_threads_never_gives_an_address_twice)
{
	pthread_t t[4];
	ledger_open();
	pthread_barrier_init(&gate, NULL, 5);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, churning, (void *)(uintptr_t)i), 0);
	pthread_barrier_wait(&gate);
	heap_advance_stamp();
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < NELEM(lost[i]); k++)
			must(condemn(lost[i][k]), "not condemned");
	heap_advance_stamp();
	pthread_barrier_wait(&gate);
	for (unsigned k = 0; k < NELEM(lost[0]); k++) {
		for (unsigned i = 0; i < 4; i++) {
			ledger_give(lost[i][k]);
			must(recycle(lost[i][k], k % 2), "nobody frees it, yet it was not recycled");
		}
		if (k % 50 == 0)
			usleep(1000);
	}
	usleep(200000);
	store_relaxed(&stop_churn, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	no_claim_failed();
	no_complaints();
}

Test(verdict, spans_of_nothing_but_recycled_slots_leave_and_are_released)
{
	enum { COUNT = 40000 };
	static void *p[COUNT];
	size_t before = live_bytes();
	for (unsigned i = 0; i < COUNT; i++)
		p[i] = heap_malloc(200);
	heap_thread_exit();
	heap_advance_stamp();
	for (unsigned i = 0; i < COUNT; i++)
		must(condemn(p[i]), "not condemned");
	heap_advance_stamp();
	for (unsigned i = 0; i < COUNT; i++)
		must(recycle(p[i], false), "not recycled");
	heap_collect_empty(); /* single-threaded: as good as inside a stop */
	heap_release_empty();
	size_t kept = live_bytes() - before;
	cr_assert_leq(kept, 512u << 10, "%zu bytes of recycled spans are still counted live", kept);
	heap_free(p[COUNT / 2]);
	cr_assert(seen.evidence == 1 && seen.misuse == 0, "a late free into a released span is evidence");
}
