/*
 * harden=1, and what holds without it: links of free slots are encoded and checked, freed memory is poisoned, comes back late and in
 * no order, and a write to it is told once.
 */
#include "heap_watch.h"
#include "heap/harden.h"

#include <pthread.h>

static void hard_begin(void)
{
	heap_begin();
	harden_start();
}
TestSuite(links, .init = heap_begin, .timeout = 60);
TestSuite(harden, .init = hard_begin, .timeout = 60);

enum { COUNT = 2000, SIZE = 40 };
static void *held[COUNT];

static void take(size_t size)
{
	for (unsigned i = 0; i < COUNT; i++)
		must((held[i] = heap_malloc(size)) != NULL, "no memory");
}

/* -- without harden -- */

/* All of COUNT go back to their spans, whose links then lie in them. */
static void free_to_spans(void)
{
	take(SIZE);
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 50) /* so that no span becomes empty and leaves */
			heap_free(held[i]);
	heap_purge(true);
}

Test(links, of_free_slots_are_no_addresses_of_slots)
{
	free_to_spans();
	unsigned addresses = 0;
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 50)
			addresses += arena_contains(*(uintptr_t *)held[i]);
	cr_assert_eq(addresses, 0, "%u free slots hold an address", addresses);
}

/* The block that is overwritten may be the last of its list, whose link is not followed: so all are. */
static void damaged(uintptr_t word)
{
	free_to_spans();
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 50)
			*(uintptr_t *)held[i] = word ? word : (uintptr_t)held[0];
	ledger_open();
	for (unsigned i = 0; i < 3 * COUNT; i++) {
		void *p = heap_malloc(SIZE);
		must(p && ledger_take(p), "%p was handed out twice", p);
		memset(p, 1, SIZE);
	}
	cr_assert_gt(seen.misuse, 0, "nothing was told");
	cr_assert_str_eq(seen.call, "block");
}
Test(links, overwritten_by_an_address_of_a_block_are_found) { damaged(0); }
Test(links, overwritten_by_a_small_number_are_found) { damaged(1); }

static void *free_all(void *unused)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 50)
			heap_free(held[i]);
	heap_thread_exit();
	return NULL;
}

Test(links, of_remote_frees_are_checked_too)
{
	pthread_t t;
	take(SIZE);
	pthread_create(&t, NULL, free_all, NULL);
	pthread_join(t, NULL);
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 50) {
			must(!arena_contains(*(uintptr_t *)held[i]), "a remote free shows an address");
			*(uintptr_t *)held[i] ^= 64;
		}
	ledger_open();
	for (unsigned i = 0; i < 2 * COUNT; i++) {
		void *p = heap_malloc(SIZE);
		must(p && ledger_take(p), "%p was handed out twice", p);
	}
	cr_assert_gt(seen.misuse, 0, "nothing was told");
}

/* -- with harden -- */

Test(harden, freed_memory_holds_the_pattern_only)
{
	static const size_t sizes[] = { 1, 16, 40, 500, 4000, 20000, 60000 };
	for (unsigned i = 0; i < NELEM(sizes); i++) {
		uint8_t *p = heap_malloc(sizes[i]);
		memset(p, 7, sizes[i]);
		heap_free(p);
		must(all_bytes(p, sizes[i], HARDEN_POISON), "%zu bytes are not poisoned", sizes[i]);
	}
	uint8_t *large = heap_malloc(300000);
	memset(large, 7, 300000);
	heap_free(large);
	must(all_bytes(large, 300000, 0) || all_bytes(large, 300000, HARDEN_POISON), "a large block keeps its contents");
	no_complaints();
}

Test(harden, a_block_does_not_come_back_soon)
{
	void *p = heap_malloc(SIZE);
	heap_free(p);
	for (unsigned i = 0; i < 1000; i++) {
		void *q = heap_malloc(SIZE);
		must(q != p, "it came back after %u others", i);
		heap_free(q);
	}
	void *large = heap_malloc(300000);
	heap_free(large);
	for (unsigned i = 0; i < 15; i++) {
		void *q = heap_malloc(300000);
		must(q != large, "a large block came back after %u others", i);
		heap_free(q);
	}
	no_complaints();
}

Test(harden, slots_come_in_no_order)
{
	unsigned rising = 0, neighbours = 0;
	take(SIZE);
	for (unsigned i = 1; i < COUNT; i++) {
		rising += held[i] > held[i - 1];
		neighbours += (uintptr_t)held[i] - (uintptr_t)held[i - 1] == span_of(held[i])->block;
	}
	cr_assert(rising > COUNT / 3 && rising < COUNT * 2 / 3, "%u of %u rise", rising, COUNT);
	cr_assert_lt(neighbours, COUNT / 20);
}

Test(harden, no_address_is_handed_out_twice_and_all_come_back)
{
	uint64_t n = 5;
	for (unsigned round = 0; round < 5; round++) {
		ledger_open();
		for (unsigned i = 0; i < COUNT; i++) {
			size_t size = noise(&n) % 3000;
			held[i] = heap_malloc(size);
			must(held[i] && ledger_take(held[i]), "%p was handed out twice", held[i]);
			memset(held[i], 1, size);
		}
		for (unsigned i = 0; i < COUNT; i++)
			heap_free(held[i]);
	}
	struct heap_totals before, after;
	heap_totals(&before);
	heap_purge(true);
	heap_totals(&after);
	cr_assert_leq(after.live, before.live);
	cr_assert_lt(after.live, 64 << 10, "%zu bytes wait for ever", after.live);
	no_complaints();
}

Test(harden, a_write_after_free_is_told_when_the_slot_is_taken_again)
{
	take(SIZE);
	uint8_t *p = held[COUNT / 2];
	heap_free(p);
	p[SIZE - 1] ^= 1;
	heap_purge(true); /* the delay ends */
	for (unsigned i = 0; i < 20000 && !seen.misuse; i++)
		heap_malloc(SIZE);
	cr_assert_eq(seen.misuse, 1);
	cr_assert_eq(seen.last, p);
}

Test(harden, calloc_is_zero_and_double_frees_are_told)
{
	for (unsigned i = 0; i < COUNT; i++) {
		uint8_t *p = heap_calloc(1, 200);
		must(all_bytes(p, 200, 0), "calloc's block is not zero");
		heap_free(p);
	}
	no_complaints();
	void *p = heap_malloc(SIZE);
	heap_free(p);
	heap_free(p);
	cr_assert_eq(seen.misuse, 1);
}

Test(harden, what_another_thread_frees_is_poisoned_and_comes_back)
{
	pthread_t t;
	take(SIZE);
	pthread_create(&t, NULL, free_all, NULL);
	pthread_join(t, NULL);
	for (unsigned i = 1; i < 50; i++)
		must(all_bytes((char *)held[i] + 16, SIZE - 16, HARDEN_POISON), "a remote free is not poisoned");
	ledger_open();
	unsigned again = 0;
	for (unsigned i = 0; i < 4 * COUNT; i++) {
		void *p = heap_malloc(SIZE);
		must(p && ledger_take(p), "%p was handed out twice", p);
		again += p == held[10]; /* the first ones are of another class */
	}
	cr_assert_eq(again, 1, "a remote free did not come back");
	no_complaints();
}
