/*
 * The marker's claims, on the real heap: the test allocates graphs with heap_malloc, gives chosen words as roots, and reads
 * the state bytes. Criterion runs each test in a process of its own, so each has a fresh heap.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "heap/heap.h"
#include "mark/inside.h"
#include "os/os.h"

typedef struct node {
	struct node *left, *right;
	uint64_t value[2];
} node;

static uint8_t state_of(const void *p)
{
	struct block_info info;
	cr_assert(heap_find((uintptr_t)p, &info) != FOUND_NOTHING, "%p is in no slot", p);
	return info.state;
}
static bool marked(const void *p) { return state_is_marked(state_of(p)); }

static void begin(void)
{
	if (getenv("CGC_FAULT")) /* tests/mutants names a test that must fail with one */
		cr_assert_null(fault_parse(getenv("CGC_FAULT")));
	cr_assert(mark_begin());
	cr_assert(mark_cached());
}

static void mark_one(const void *root)
{
	begin();
	mark_word((uintptr_t)root);
	mark_drain();
	cr_assert(mark_complete());
}

static void end(void)
{
	mark_abandon();
	mark_end();
}

static node *make(node *left, node *right)
{
	node *n = heap_malloc(sizeof *n);
	*n = (node){ left, right, { 1, 2 } };
	return n;
}

static node *tree(int depth) { return depth ? make(tree(depth - 1), tree(depth - 1)) : make(NULL, NULL); }

static size_t count_marked(const node *n) { return n ? marked(n) + count_marked(n->left) + count_marked(n->right) : 0; }

Test(mark, a_chain_of_a_million_is_followed_without_recursion)
{
	node *head = NULL, *lost = make(NULL, NULL);
	for (int i = 0; i < 1000000; i++)
		head = make(head, NULL);
	mark_one(head);
	for (node *n = head; n; n = n->left)
		cr_assert(marked(n));
	cr_assert(!marked(lost));
	struct mark_totals t;
	mark_totals(&t);
	cr_assert_eq(t.blocks, 1000000);
	cr_assert_eq(mark_verify(), 0);
	end();
	for (node *n = head; n; n = n->left)
		cr_assert(state_is_allocated(state_of(n)) && !marked(n));
}

Test(mark, trees_and_cycles_are_marked_once)
{
	node *t = tree(12), *a = make(NULL, NULL), *b = make(a, a);
	a->left = b;
	t->value[0] = (uintptr_t)a;
	mark_one(t);
	cr_assert_eq(count_marked(t), (1u << 13) - 1);
	cr_assert(marked(a) && marked(b));
	struct mark_totals totals;
	mark_totals(&totals);
	cr_assert_eq(totals.blocks, (1u << 13) + 1);
	end();
}

static bool interior_is_kept(void)
{
	char *p = heap_malloc(100), *big = heap_malloc(300000);
	begin();
	mark_word((uintptr_t)p + 37);
	mark_word((uintptr_t)big + 299999);
	mark_drain();
	bool kept = marked(p) && marked(big);
	end();
	return kept;
}
Test(mark, interior_pointers_count) { cr_assert(interior_is_kept()); }
Test(mark, mutant_no_interior_is_noticed)
{
	cr_assert_null(fault_parse("no_interior"));
	cr_assert(!interior_is_kept());
}

/* In an exact class the neighbours' boundary is ambiguous: a stack word keeps both sides. */
static bool past_end_is_kept(size_t size, bool on_stack, bool copied)
{
	uintptr_t p = (uintptr_t)heap_aligned(size <= 65536 ? size : 4096, size);
	struct block_info info;
	cr_assert_eq(heap_find(p, &info), FOUND_BLOCK);
	cr_assert(info.span->exact, "a block of %zu that fills its slot", size);
	word_t words[8] = { p + size };
	begin();
	if (copied)
		cr_assert(mark_range_copied((uintptr_t)words, (uintptr_t)(words + 8), on_stack, COPY_WHOLE));
	else
		mark_range((uintptr_t)words, (uintptr_t)(words + 8), on_stack);
	mark_drain();
	bool kept = marked((void *)p);
	end();
	return kept;
}
Test(mark, one_past_the_end_counts_on_stacks_only)
{
	for (size_t size = 32; size <= 2048; size *= 2) { /* natural classes */
		cr_assert(past_end_is_kept(size, true, false), "%zu", size);
		cr_assert(past_end_is_kept(size, true, true), "%zu", size);
		cr_assert(!past_end_is_kept(size, false, false), "%zu", size);
	}
	cr_assert(past_end_is_kept(1 << 20, true, false)); /* a large block's last byte is the program's too */
	uintptr_t p = (uintptr_t)heap_aligned(64, 64);
	mark_one((void *)(p + 64)); /* a register's word */
	cr_assert(marked((void *)p));
	end();
}
Test(mark, mutant_no_past_end_is_noticed)
{
	cr_assert_null(fault_parse("no_past_end"));
	cr_assert(!past_end_is_kept(64, true, false));
}

Test(mark, one_past_the_end_stays_inside_ordinary_blocks)
{
	for (size_t size = 16; size < 4000; size += 16) { /* the spare byte */
		char *p = heap_malloc(size);
		mark_one(p + size);
		cr_assert(marked(p), "size %zu", size);
		end();
	}
}

/* A random graph, so wide that a tiny stack drops edges. */
static node **random_graph(size_t n, uint64_t seed)
{
	node **all = heap_malloc(n * sizeof *all);
	for (size_t i = 0; i < n; i++)
		all[i] = make(NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		all[i]->left = all[(seed >> 33) % n];
		all[i]->right = all[(i + 1) % n];
	}
	return all;
}

Test(mark, a_full_stack_loses_nothing)
{
	size_t n = 300000;
	node **all = random_graph(n, 7);
	char *wide[300];
	for (int i = 0; i < 300; i++) { /* many large blocks at once: the stack of ranges */
		wide[i] = heap_calloc(1, 40000);
		((node **)wide[i])[4999] = make(NULL, NULL);
	}
	char **both = heap_calloc(1, 40000);
	memcpy(both, wide, sizeof wide);
	both[4000] = (char *)all;
	mark_stack_bytes = 4096;
	mark_stack_fixed = true;
	mark_one(both);
	struct mark_totals t;
	mark_totals(&t);
	cr_assert_gt(t.overflows, 0, "the stack was meant to overflow");
	for (size_t i = 0; i < n; i++)
		cr_assert(marked(all[i]));
	for (int i = 0; i < 300; i++)
		cr_assert(marked(wide[i]) && marked(((node **)wide[i])[4999]));
	cr_assert_eq(mark_verify(), 0);
	end();
}

Test(mark, a_stack_that_grows_keeps_its_edges)
{
	size_t n = 300000;
	node **all = random_graph(n, 9);
	mark_stack_bytes = 4096;
	mark_one(all);
	struct mark_totals t;
	mark_totals(&t);
	cr_assert_eq(t.overflows, 0);
	cr_assert_eq(t.blocks, n + 1);
	end();
}

Test(mark, edges_to_what_is_marked_pile_up_no_memory)
{
	enum { ARENAS = 2000, WORDS = 500 };
	static char **arenas[ARENAS]; /* 8 MB of edges, were all kept until they are followed */
	static node *leaves[ARENAS];
	for (int i = 0; i < ARENAS; i++) {
		arenas[i] = heap_calloc(WORDS, sizeof(char *));
		leaves[i] = make(NULL, NULL);
	}
	for (int i = 0; i < ARENAS; i++)
		for (int j = 0; j < WORDS; j++)
			arenas[i][j] = (char *)arenas[(i + j % 40) % ARENAS] + j % 2 * 16;
	for (int i = 0; i < ARENAS; i++)
		arenas[i][0] = (char *)leaves[i]; /* pushed before the others, followed after them */
	mark_one(arenas[0]);
	for (int i = 0; i < ARENAS; i++)
		cr_assert(marked(arenas[i]) && marked(leaves[i]));
	cr_assert_eq(marker.edge_bytes, EDGE_BYTES);
	cr_assert_eq(mark_verify(), 0);
	end();
}

Test(mark, verify_and_counts_notice_lost_edges)
{
	cr_assert_null(fault_parse("lose_edges"));
	node *head = NULL;
	for (int i = 0; i < 5000; i++)
		head = make(head, NULL);
	mark_one(head);
	cr_assert_gt(mark_verify(), 0);
	end();
}

Test(mark, verify_finds_a_planted_violation)
{
	node *child = make(NULL, NULL), *parent = make(child, NULL);
	mark_one(parent);
	cr_assert_eq(mark_verify(), 0);
	struct block_info info;
	heap_find((uintptr_t)child, &info);
	info.span->state[info.slot] &= ~0x40;
	cr_assert_eq(mark_verify(), 1);
	end();
}

static bool cached_are_live(void)
{
	node *n = make(NULL, NULL); /* its refill left slots on the alloc list */
	struct dead_set set = { 0 };
	uint8_t stamp = heap_advance_stamp();
	mark_one(n);
	cr_assert(mark_emit(&set, stamp));
	mark_end();
	return set.size == 0;
}
Test(mark, slots_on_alloc_lists_are_live) { cr_assert(cached_are_live()); }
Test(mark, mutant_no_alloc_lists_is_noticed)
{
	cr_assert_null(fault_parse("no_alloc_lists"));
	cr_assert(!cached_are_live());
}

static size_t dead_count(const struct dead_set *set, const void *among)
{
	size_t n = 0, at = 0;
	for (struct dead_span *d; (d = dead_next(set, &at));)
		for (uint32_t i = 0; i < d->slots; i++) {
			bool dead = d->bits[i / 64] >> i % 64 & 1;
			uintptr_t a = d->span->start + i * d->block;
			n += among ? dead && (uintptr_t)among - a < d->block : dead;
		}
	return n;
}

Test(mark, emit_lists_exactly_the_unmarked_of_older_stamps)
{
	enum { N = 20000 };
	node *kept = NULL, *lost[N];
	void *big_lost = heap_malloc(1 << 20), *big_kept = heap_malloc(1 << 20);
	for (int i = 0; i < N; i++) {
		kept = make(kept, NULL);
		lost[i] = make(NULL, NULL);
	}
	kept->right = big_kept;
	uint8_t stamp = heap_advance_stamp();
	void *fresh[3000]; /* refills after the advance carry the new stamp: not judged; those of old lists are */
	for (int i = 0; i < 3000; i++)
		fresh[i] = heap_malloc(72);
	struct dead_set set = { 0 };
	for (int round = 0; round < 2; round++) { /* the second mapping is reused */
		begin();
		mark_word((uintptr_t)kept);
		mark_range((uintptr_t)lost, (uintptr_t)(lost + 10), false);
		mark_drain();
		cr_assert(mark_emit(&set, stamp));
		mark_end();
		cr_assert_eq(dead_count(&set, NULL), N - 10 + 1);
		cr_assert(dead_count(&set, big_lost) && !dead_count(&set, big_kept));
		cr_assert(!dead_count(&set, lost[0]) && dead_count(&set, lost[10]) && dead_count(&set, lost[N - 1]));
		cr_assert(!dead_count(&set, fresh[0]) && !dead_count(&set, fresh[2999]));
		for (node *n = kept; n; n = n->left)
			cr_assert(!dead_count(&set, kept) && state_is_allocated(state_of(n)) && !marked(n));
	}
	mark_one(kept);
	mark_abandon();
	mark_end();
	cr_assert(!marked(kept));
}

Test(mark, a_condemned_block_that_is_reached_returns)
{
	node *child = make(NULL, NULL), *reached = make(child, NULL), *unreached = make(NULL, NULL);
	heap_advance_stamp();
	struct block_info a, b;
	heap_find((uintptr_t)reached, &a);
	heap_find((uintptr_t)unreached, &b);
	cr_assert(heap_condemn(&a.span->state[a.slot]) && heap_condemn(&b.span->state[b.slot]));
	uint8_t stamp = heap_advance_stamp();
	mark_one(reached);
	cr_assert(marked(reached) && marked(child));
	struct dead_set set = { 0 };
	cr_assert(mark_emit(&set, stamp));
	mark_end();
	cr_assert(state_is_allocated(state_of(reached)));
	cr_assert(state_is_condemned(state_of(unreached)) && dead_count(&set, unreached));
}

Test(mark, freed_slots_are_not_followed)
{
	node *child = make(NULL, NULL), *gone = make(child, NULL);
	heap_free(gone);
	mark_one(gone);
	cr_assert(!marked(child));
	end();
}

Test(mark, one_huge_array_is_scanned_in_pieces)
{
	size_t words = (1ul << 30) / 8;
	node **array = heap_malloc(words * 8);
	cr_assert_not_null(array);
	node *at[] = { make(NULL, NULL), make(NULL, NULL), make(NULL, NULL) };
	array[0] = at[0];
	array[words / 2 + 1] = at[1];
	array[words - 1] = at[2];
	uint64_t t = os_now_ns();
	mark_one((char *)array + 12345);
	printf("1 GiB array of mostly absent pages: %.0f MB/s\n", 1073.7e9 / (double)(os_now_ns() - t));
	cr_assert(marked(array) && marked(at[0]) && marked(at[1]) && marked(at[2]));
	end();
}

Test(mark, words_of_every_alignment_class_pass_the_vector_filter)
{
	for (size_t size = 16; size <= 16384; size += 16) { /* each word of each size is found: scalar head, vectors, tail */
		uintptr_t *block = heap_calloc(1, size);
		size_t last = size / 8 - 1;
		block[last] = (uintptr_t)make(NULL, NULL);
		block[last / 2] = (uintptr_t)make(NULL, NULL);
		mark_one(block);
		cr_assert(marked((void *)block[last]) && marked((void *)block[last / 2]), "size %zu", size);
		end();
		heap_free(block);
	}
}

Test(mark, a_protected_block_is_read_all_the_same)
{
	size_t size = 1 << 20;
	uintptr_t *block = heap_malloc(size), page = align_up((uintptr_t)block, OS_PAGE) + 4 * OS_PAGE;
	node *inside = make(make(NULL, NULL), NULL), *guarded = make(NULL, NULL), *plain = make(NULL, NULL);
	*(node **)page = inside;
	*(node **)(page + 8 * OS_PAGE) = guarded;
	*(node **)(page + 9 * OS_PAGE) = plain;
	cr_assert_eq(mprotect((void *)page, OS_PAGE, PROT_NONE), 0);
	munmap((void *)(page + 8 * OS_PAGE), OS_PAGE);
	begin();
	mark_doubtful(page, page + OS_PAGE);
	mark_doubtful(page + 8 * OS_PAGE, page + 9 * OS_PAGE);
	mark_word((uintptr_t)block);
	mark_drain();
	cr_assert(mark_complete());
	cr_assert(marked(inside) && marked(inside->left) && marked(plain));
	cr_assert(!marked(guarded), "what was unmapped is gone");
	cr_assert_eq(mark_verify(), 0);
	end();
}

static void speed(const char *what, const void *root)
{
	double best = 0;
	struct mark_totals t;
	for (int i = 0; i < 3; i++) {
		begin();
		uint64_t start = os_thread_cpu_ns();
		mark_word((uintptr_t)root);
		mark_drain();
		double ns = (double)(os_thread_cpu_ns() - start);
		mark_totals(&t);
		best = best > 1e3 * (double)t.blocks / ns ? best : 1e3 * (double)t.blocks / ns;
		end();
	}
	printf("%s: %lu blocks, %.1f M blocks/s\n", what, (unsigned long)t.blocks, best);
	fflush(stdout);
}

Test(mark, speed_is_printed)
{
	speed("tree of 32 B blocks", tree(20));
	node **graph = random_graph(2000000, 3);
	node *first = graph[0];
	heap_free(graph);
	speed("random graph of 32 B blocks", first);
	uintptr_t *buckets = heap_calloc(1 << 20, 8);
	uint64_t seed = 5;
	for (int i = 0; i < 600000; i++) { /* hash table: entry, key, value of 288 bytes */
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uintptr_t *entry = heap_malloc(48), *slot = &buckets[seed >> 44];
		entry[0] = *slot;
		entry[1] = (uintptr_t)heap_calloc(1, 31);
		entry[2] = (uintptr_t)heap_calloc(1, 288);
		*slot = (uintptr_t)entry;
	}
	speed("hash table", buckets);
}

/* -- pages that nobody touched (absent.c) -- */

enum { HUGE_BLOCK = 4 << 20, HUGE_PAGES = HUGE_BLOCK / 4096 };

static long faults_so_far(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

static bool kernel_tells_of_pages(void)
{
	struct os_run run;
	uintptr_t walked;
	int fd = os_open_proc("pagemap");
	long n = os_page_runs(fd, align_down((uintptr_t)&run, 4096), align_up((uintptr_t)(&run + 1), 4096), &run, 1, &walked);
	os_close(fd);
	return n == 1;
}

/* A block of which only a few pages were ever written, each with the last word that leads to one of `targets`. */
static uintptr_t *sparse(node *targets[3])
{
	uintptr_t *p = heap_calloc(1, HUGE_BLOCK - 8);
	const size_t at[3] = { 0, 100 * 512 - 1, HUGE_BLOCK / 8 - 2 };
	for (int i = 0; i < 3; i++)
		p[at[i]] = (uintptr_t)(targets[i] = make(NULL, NULL));
	return p;
}

Test(mark, pages_that_nobody_touched_stay_so_and_what_lies_between_them_is_found)
{
	node *targets[3], *target = make(NULL, NULL);
	uintptr_t *p = sparse(targets);
	char *odd = (char *)p + 200 * 4096 - 4; /* half of it on either page */
	memcpy(odd, &target, sizeof target);
	long before = faults_so_far();
	mark_one(p);
	mark_follow_offsets(NULL); /* every marked block once more */
	mark_drain();
	long after = faults_so_far();
	for (int i = 0; i < 3; i++)
		cr_assert(marked(targets[i]), "%d", i);
	cr_assert(marked(target) || !marker.odd_words);
	cr_assert_eq(mark_verify(), 0);
	end();
	if (!kernel_tells_of_pages())
		cr_skip_test("before Linux 6.7");
	cr_assert_lt(after - before, HUGE_PAGES / 4, "%ld", after - before);
}

Test(mark, a_kernel_that_tells_nothing_of_pages_loses_nothing)
{
	node *targets[3];
	uintptr_t *p = sparse(targets);
	cr_assert_null(fault_parse("ioctl"));
	mark_one(p);
	for (int i = 0; i < 3; i++)
		cr_assert(marked(targets[i]), "%d", i);
	end();
}

Test(mark, a_lost_block_that_nobody_touched_is_read_as_zeros)
{
	node *targets[3];
	uintptr_t *p = sparse(targets), words[4] = { 1, 1, 1, 1 }, edges[MARK_PIECE_EDGES];
	begin();
	long before = faults_so_far();
	for (size_t at = MARK_PIECE; at + MARK_PIECE < HUGE_BLOCK / 2; at += MARK_PIECE) {
		cr_assert_eq(mark_edges_of((uintptr_t)p + at, (uintptr_t)p + at + MARK_PIECE, HUGE_BLOCK, edges), at / MARK_PIECE == 99 / 4);
		cr_assert(mark_read((uintptr_t)p + at, 4, words) && !words[0] && !words[3]);
	}
	cr_assert(!kernel_tells_of_pages() || faults_so_far() - before < HUGE_PAGES / 4);
	cr_assert(mark_read((uintptr_t)p, 1, words) && words[0] == (uintptr_t)targets[0]);
	end();
}

/* -- state bytes apart -- */

Test(mark, marks_apart_leave_the_state_bytes_alone)
{
	node *small = make(make(NULL, NULL), NULL), *lost = make(NULL, NULL);
	void **large = heap_malloc(300000);
	large[5] = small;
	const uint8_t before = state_of(small), before_large = state_of(large);
	cr_assert(mark_begin());
	cr_assert(mark_apart());
	cr_assert(mark_cached(), "slots on alloc lists are known by their real state bytes");
	mark_word((uintptr_t)large);
	mark_drain();
	cr_assert(marked(large) && marked(small) && marked(small->left) && !marked(lost));
	const uint8_t *copy = arena_span((uintptr_t)small)->state;
	cr_assert_neq(copy, span_state_bytes(arena_span((uintptr_t)small)));
	mark_together();
	mark_end();
	cr_assert_eq(state_of(small), before);
	cr_assert_eq(state_of(large), before_large);
	cr_assert_eq(arena_span((uintptr_t)small)->state, span_state_bytes(arena_span((uintptr_t)small)));
	heap_free(small->left); /* and the heap goes on */
	heap_free(large);
	mark_one(small);
	cr_assert(marked(small) && !marked(lost));
	end();
}
