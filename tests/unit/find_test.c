/* Which kind each block has, by which rule, and who owns it: small graphs by name, large and random ones against a plain oracle. */
#include "report_kit.h"

TestSuite(find, .init = report_begin, .timeout = 120);

enum { EACH = REPORT_BLOCKS | REPORT_REACHABLE };

static void is(const struct report *r, hidden h, int kind, int rule, const char *name)
{
	must(kind_of(r, h) == kind && rule_of(r, h) == rule, "%s: kind %d by rule %d, not kind %d by rule %d", name, kind_of(r, h), rule_of(r, h), kind,
	     rule);
}
#define IS(h, kind, rule) is(&r, h, kind, rule, #h)

Test(find, a_block_without_pointers_is_definite_and_one_in_a_global_reachable)
{
	hidden lost = block_of(100, 1), held = block_of(100, 2);
	hold(0, held, 0);
	struct report r;
	take(&r, EACH);
	IS(lost, KIND_DEFINITE, RULE_NO_POINTER);
	IS(held, KIND_REACHABLE, RULE_REACHABLE);
	cr_assert_eq(r.total[KIND_DEFINITE].blocks, 1);
	cr_assert_eq(r.total[KIND_DEFINITE].bytes, 112);
	const struct report_site *s = site_in(&r, lost);
	cr_assert(s == r.sites && s->s.kind[KIND_DEFINITE].blocks == 1 && s->s.rule == RULE_NO_POINTER && ~s->s.example == lost && s->s.largest == 112);
	report_drop(&r);
	cr_assert(!r.sites && !r.blocks);
}

Test(find, of_a_tree_the_root_is_definite_and_owns_the_rest)
{
	hidden root = block_of(40, 1), left = block_of(100, 2), right = block_of(300, 3), leaf = block_of(20, 4);
	put(root, 0, left, 0);
	put(root, 8, right, 0);
	put(left, 8, leaf, 0);
	put(right, 8, leaf, 0); /* a leaf with two parents is counted once */
	struct report r;
	take(&r, REPORT_BLOCKS);
	IS(root, KIND_DEFINITE, RULE_NO_POINTER);
	IS(left, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(right, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(leaf, KIND_INDIRECT, RULE_LOST_OWNER);
	cr_assert(owner_of(&r, left) == root && owner_of(&r, right) == root && owner_of(&r, leaf) == root);
	const struct snapshot_site *s = &site_in(&r, root)->s;
	cr_assert_eq(s->owned_blocks, 3);
	cr_assert_eq(s->owned_bytes, 112 + 320 + 32);
	cr_assert_eq(r.total[KIND_INDIRECT].blocks, 3);
	cr_assert_eq(site_in(&r, left)->s.owned_blocks, 0);
}

Test(find, of_a_cycle_exactly_one_block_is_definite_and_its_tail_is_indirect)
{
	hidden a = block_of(40, 1), b = block_of(40, 2), c = block_of(40, 3), tail = block_of(40, 4);
	put(a, 0, b, 0);
	put(b, 0, c, 0);
	put(c, 0, a, 0);
	put(b, 8, tail, 0);
	struct report r;
	take(&r, REPORT_BLOCKS);
	IS(a, KIND_DEFINITE, RULE_CYCLE);
	IS(b, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(c, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(tail, KIND_INDIRECT, RULE_LOST_OWNER);
	cr_assert_eq(site_in(&r, a)->s.owned_blocks, 3);
}

/* A cycle that another cycle points to is no root, whichever of them comes first in the heap. */
static bool only_the_source_is_definite(void)
{
	hidden low = block_of(40, 1), low2 = block_of(40, 1), high = block_of(40, 2), high2 = block_of(40, 2);
	put(low, 0, low2, 0);
	put(low2, 0, low, 0);
	put(high, 0, high2, 0);
	put(high2, 0, high, 0);
	put(high2, 8, low2, 0);
	struct report r;
	take(&r, REPORT_BLOCKS);
	return r.total[KIND_DEFINITE].blocks == 1 && kind_of(&r, high) == KIND_DEFINITE && rule_of(&r, high) == RULE_CYCLE
	       && kind_of(&r, low) == KIND_INDIRECT && owner_of(&r, low) == high && site_in(&r, high)->s.owned_blocks == 3;
}
Test(find, of_two_components_only_the_one_without_pointers_from_outside_is_definite) { cr_assert(only_the_source_is_definite()); }

Test(find, a_pointer_to_itself_does_not_make_a_block_indirect)
{
	hidden self_only = block_of(40, 1);
	put(self_only, 16, self_only, 0);
	struct report r;
	take(&r, REPORT_BLOCKS);
	IS(self_only, KIND_DEFINITE, RULE_NO_POINTER);
}

Test(find, an_inner_pointer_between_lost_blocks_is_a_pointer)
{
	hidden root = block_of(40, 1), inner = block_of(100, 2);
	put(root, 0, inner, 40);
	struct report r;
	take(&r, REPORT_BLOCKS);
	IS(inner, KIND_INDIRECT, RULE_LOST_OWNER);
}

Test(find, a_list_of_a_million_is_one_leak)
{
	enum { N = 1000000 };
	hidden head = block_of(32, 1), last = head;
	for (int i = 1; i < N; i++) {
		hidden next = block_of(32, 2);
		put(last, 8, next, 0);
		last = next;
	}
	struct report r;
	take(&r, 0);
	cr_assert_eq(r.total[KIND_DEFINITE].blocks, 1);
	cr_assert_eq(r.total[KIND_INDIRECT].blocks, N - 1);
	cr_assert_eq(site_in(&r, head)->s.owned_blocks, N - 1);
	report_drop(&r);
	put(last, 8, head, 0);
	take(&r, 0);
	cr_assert_eq(r.total[KIND_DEFINITE].blocks, 1);
	cr_assert_eq(r.total[KIND_INDIRECT].blocks, N - 1);
}

Test(find, large_blocks_are_looked_through_to_their_end)
{
	hidden big = block_of(3 << 20, 1), child = block_of(200000, 2), small = block_of(24, 3);
	put(big, (3 << 20) - 8, child, 0);
	put(child, 100000, small, 0);
	struct report r;
	take(&r, REPORT_BLOCKS);
	IS(big, KIND_DEFINITE, RULE_NO_POINTER);
	IS(child, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(small, KIND_INDIRECT, RULE_LOST_OWNER);
	cr_assert_eq(site_in(&r, big)->s.owned_blocks, 2);
}

Test(find, freed_blocks_and_cached_slots_are_in_no_report)
{
	hidden kept[40];
	for (unsigned i = 0; i < NELEM(kept); i++)
		kept[i] = block_of(64, 1);
	for (unsigned i = 0; i < NELEM(kept); i += 2)
		heap_free((void *)~kept[i]);
	struct report r;
	take(&r, EACH);
	cr_assert_eq(site_in(&r, kept[1])->s.kind[KIND_DEFINITE].blocks, NELEM(kept) / 2);
	uint64_t all = 0;
	for (unsigned k = 0; k < KINDS; k++)
		all += r.total[k].blocks;
	cr_assert_eq(all, NELEM(kept) / 2);
	cr_assert_eq(r.block_count, all);
}

/* ---- inner pointers ---- */

static bool inner_is_possible(void)
{
	hidden inner = block_of(100, 1), below = block_of(40, 2), past = block_of(100, 3);
	put(inner, 0, below, 0);
	hold(0, inner, 40);
	hold(1, past, 100);
	struct report r;
	take(&r, REPORT_BLOCKS);
	return kind_of(&r, inner) == KIND_POSSIBLE && rule_of(&r, inner) == RULE_INTERIOR_ONLY && kind_of(&r, below) == KIND_POSSIBLE
	       && rule_of(&r, below) == RULE_POSSIBLE_OWNER && owner_of(&r, below) == inner && kind_of(&r, past) == KIND_POSSIBLE
	       && site_in(&r, inner)->s.rule == RULE_INTERIOR_ONLY && r.total[KIND_DEFINITE].blocks == 0;
}
Test(find, a_block_held_by_an_inner_pointer_is_possible_and_so_is_what_it_holds) { cr_assert(inner_is_possible()); }
Test(find, mutant_inner_as_start_is_noticed)
{
	cr_assert_null(fault_parse("inner_as_start"));
	cr_assert(!inner_is_possible());
}

Test(find, a_second_pointer_to_the_start_makes_it_reachable)
{
	hidden block = block_of(100, 1), holder = block_of(5000, 2), far = block_of(100, 3);
	hold(0, block, 40);
	hold(1, holder, 0);
	put(holder, 4800, block, 0);
	put(block, 64, far, 32); /* an inner pointer in a reachable block */
	struct report r;
	take(&r, EACH);
	IS(block, KIND_REACHABLE, RULE_REACHABLE);
	IS(far, KIND_POSSIBLE, RULE_INTERIOR_ONLY);
}

Test(find, what_a_lost_block_holds_is_lost_though_an_inner_pointer_is_all_it_has)
{
	hidden lost = block_of(40, 1), child = block_of(100, 2);
	put(lost, 0, child, 24);
	struct report r;
	take(&r, EACH);
	IS(child, KIND_INDIRECT, RULE_LOST_OWNER);
}

Test(find, a_count_or_a_size_in_front_makes_the_place_behind_it_a_start)
{
	hidden array = block_of(8 + 5 * 40, 1), aligned = block_of(16 + 7 * 32, 2), dtv = block_of((20 + 2) * 16, 3), sized = block_of(8 + 1000, 4);
	hidden large = block_of(16 + 300000, 5), wrong = block_of(8 + 1000, 6), counted = block_of(64, 7);
	put_word(array, 0, 5);
	hold(0, array, 8);
	put_word(aligned, 8, 7);
	hold(1, aligned, 16);
	put_word(dtv, 0, 20);
	hold(2, dtv, 16);
	put_word(sized, 0, 1000);
	hold(3, sized, 8);
	put_word(large, 8, 300000);
	hold(4, large, 16);
	put_word(wrong, 0, 4711);
	hold(5, wrong, 8);
	put_word(counted, 0, 1);
	put_word(counted, 8, 1);
	hold(6, counted, 16);
	struct report r;
	take(&r, EACH);
	IS(array, KIND_REACHABLE, RULE_REACHABLE);
	IS(aligned, KIND_REACHABLE, RULE_REACHABLE);
	IS(dtv, KIND_REACHABLE, RULE_REACHABLE);
	IS(sized, KIND_REACHABLE, RULE_REACHABLE);
	IS(large, KIND_REACHABLE, RULE_REACHABLE);
	IS(counted, KIND_REACHABLE, RULE_REACHABLE);
	IS(wrong, KIND_POSSIBLE, RULE_INTERIOR_ONLY);
}

Test(find, the_text_of_an_old_std_string_is_a_start)
{
	hidden string = block_of(24 + 50 + 1, 1), longer = block_of(24 + 50 + 1, 2);
	put_word(string, 0, 44);
	put_word(string, 8, 50);
	hold(0, string, 24);
	put_word(longer, 0, 51);
	put_word(longer, 8, 50);
	hold(1, longer, 24);
	struct report r;
	take(&r, EACH);
	IS(string, KIND_REACHABLE, RULE_REACHABLE);
	IS(longer, KIND_POSSIBLE, RULE_INTERIOR_ONLY);
}

static const struct { void *(*first)(size_t); } table_of_functions = { heap_malloc };

Test(find, a_base_class_inside_is_a_start)
{
	hidden object = block_of(80, 1), plain = block_of(80, 2);
	put_word(object, 48, (uintptr_t)&table_of_functions);
	hold(0, object, 48);
	put_word(plain, 48, (uintptr_t)"some text of this module");
	hold(1, plain, 48);
	struct report r;
	take(&r, EACH);
	IS(object, KIND_REACHABLE, RULE_REACHABLE);
	IS(plain, KIND_POSSIBLE, RULE_INTERIOR_ONLY);
}

Test(find, an_inner_pointer_on_a_live_stack_is_as_good_as_any)
{
	hidden walked = block_of(100, 1), past = block_of(4096, 2);
	volatile uintptr_t cursor = ~walked + 40, end = ~past + 4096;
	struct report r;
	take(&r, EACH);
	IS(walked, KIND_REACHABLE, RULE_REACHABLE);
	IS(past, KIND_REACHABLE, RULE_REACHABLE);
	cr_assert(cursor && end);
}

/* ---- stale words ---- */

static NOINLINE void leave_behind(hidden h)
{
	volatile uintptr_t frame[1024];
	for (unsigned i = 0; i < NELEM(frame); i++)
		frame[i] = i < NELEM(frame) - 32 ? ~h : 0; /* the frame of report_take itself counts as live, holes and all */
}
static NOINLINE void take_unscrubbed(struct report *r, unsigned flags) { report_take(r, flags); }

Test(find, what_only_a_frame_that_has_returned_held_is_no_reachable_block)
{
	hidden stale = block_of(100, 1), below = block_of(40, 2);
	put(stale, 0, below, 0);
	struct report r;
	scrub();
	leave_behind(stale);
	take_unscrubbed(&r, EACH);
	cr_assert(r.complete);
	if (kind_of(&r, stale) == KIND_POSSIBLE) { /* our frames have holes, as a rule */
		IS(stale, KIND_POSSIBLE, RULE_STALE_STACK_ONLY);
		IS(below, KIND_POSSIBLE, RULE_POSSIBLE_OWNER);
	} else {
		IS(stale, KIND_DEFINITE, RULE_NO_POINTER);
	}
}

static NOINLINE void take_holding(struct report *r, hidden h)
{
	register uintptr_t p __asm__("rbx") = ~h;
	__asm__ volatile("" : "+r"(p));
	report_take(r, EACH);
	__asm__ volatile("" : "+r"(p));
}
Test(find, a_preserved_register_of_the_caller_is_a_root)
{
	hidden held = block_of(100, 1);
	struct report r;
	scrub();
	take_holding(&r, held);
	IS(held, KIND_REACHABLE, RULE_REACHABLE);
}
