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
	cr_assert_eq(r.total[KIND_DEFINITE].bytes, bytes_of(lost));
	const struct report_site *s = site_in(&r, lost);
	cr_assert(s == r.sites && s->s.kind[KIND_DEFINITE].blocks == 1 && s->s.rule == RULE_NO_POINTER && ~s->s.example == lost && s->s.largest == bytes_of(lost));
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
	cr_assert_eq(s->owned_bytes, bytes_of(left) + bytes_of(right) + bytes_of(leaf));
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

Test(find, lost_blocks_that_the_program_protected_are_looked_through_all_the_same)
{
	hidden big = block_of(1 << 20, 1), child = block_of(64, 2), held = block_of(1 << 20, 3), inner = block_of(100, 4);
	put(big, 500000, child, 0);
	put(held, 600000, inner, 0);
	hold(0, held, 0);
	cr_assert_eq(mprotect((void *)shown(big), 1 << 20, PROT_NONE), 0);
	cr_assert_eq(mprotect((void *)shown(held), 1 << 20, PROT_NONE), 0);
	struct report r;
	take(&r, EACH);
	IS(big, KIND_DEFINITE, RULE_NO_POINTER);
	IS(child, KIND_INDIRECT, RULE_LOST_OWNER);
	IS(inner, KIND_REACHABLE, RULE_REACHABLE);
}

Test(find, freed_blocks_and_cached_slots_are_in_no_report)
{
	hidden kept[40];
	for (unsigned i = 0; i < NELEM(kept); i++)
		kept[i] = block_of(64, 1);
	for (unsigned i = 0; i < NELEM(kept); i += 2)
		heap_free((void *)shown(kept[i]));
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
	volatile uintptr_t cursor = shown(walked) + 40, end = shown(past) + 4096;
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
		frame[i] = i < NELEM(frame) - 32 ? shown(h) : 0; /* the frame of report_take itself counts as live, holes and all */
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
	register uintptr_t p __asm__("rbx") = shown(h);
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

/* ---- memory runs out ---- */

Test(find, without_memory_for_a_stack_the_kinds_are_the_same)
{
	enum { N = 20000 };
	hidden wide = block_of(N * 8, 1), cycle = block_of(N * 8, 2);
	for (unsigned i = 0; i < N; i++) {
		hidden child = block_of(24, 3), grandchild = block_of(24, 4), member = block_of(24, 5);
		put(wide, i * 8, child, 0);
		put(child, 0, grandchild, 0);
		put(cycle, i * 8, member, 0);
		put(member, 0, cycle, 0);
	}
	options.verify = 0;
	cr_assert_null(fault_parse("mremap"));
	struct report r;
	take(&r, 0);
	cr_assert_null(fault_parse(""));
	cr_assert_not(r.cut);
	cr_assert_eq(r.total[KIND_DEFINITE].blocks, 2);
	cr_assert_eq(r.total[KIND_INDIRECT].blocks, 3 * N);
	cr_assert_eq(site_in(&r, wide)->s.owned_blocks, 2 * N);
	cr_assert_eq(site_in(&r, cycle)->s.owned_blocks, N);
}

Test(find, without_memory_for_more_sites_the_report_is_cut_and_none_of_it_wrong)
{
	enum { N = 2000 };
	for (unsigned i = 0; i < N; i++)
		block_of(24, 1 + i);
	struct report all, part;
	take(&all, REPORT_BLOCKS);
	cr_assert_not(all.cut);
	cr_assert_eq(all.total[KIND_DEFINITE].blocks, N);
	cr_assert_eq(all.count, N);
	cr_assert_null(fault_parse("mremap"));
	take(&part, REPORT_BLOCKS);
	cr_assert_null(fault_parse(""));
	cr_assert(part.cut && part.count && part.count < N);
	cr_assert(part.total[KIND_DEFINITE].blocks == part.count && part.block_count <= part.count);
	for (uint32_t i = 0; i < part.count; i++)
		must(part.sites[i].s.kind[KIND_DEFINITE].blocks == 1, "site %u is counted twice", i);
}

static void put_offset(hidden holder, size_t offset, hidden target) { put_word(holder, offset, shown(target) - shown(holder)); }

Test(find, blocks_that_offsets_alone_hold_are_reachable_when_all_of_their_site_are_held_so)
{
	hidden held[20], holder = block_of(400, 1);
	hold(0, holder, 0);
	for (unsigned i = 0; i < NELEM(held); i++)
		put_offset(holder, 8 * i, held[i] = block_of(100, 2));
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < NELEM(held); i++)
		IS(held[i], KIND_REACHABLE, RULE_REACHABLE);
}

Test(find, numbers_that_happen_to_be_offsets_hold_no_lost_block_nor_what_hangs_off_it)
{
	hidden lost[20], below[20], holder = block_of(400, 1);
	hold(0, holder, 0);
	for (unsigned i = 0; i < NELEM(lost); i++) {
		lost[i] = block_of(100, 2);
		below[i] = block_of(50, 3);
		put(lost[i], 16, below[i], 0);
		if (i % 7 == 0)
			put_offset(holder, 8 * i, lost[i]);
	}
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < NELEM(lost); i++) {
		IS(lost[i], KIND_DEFINITE, RULE_NO_POINTER);
		IS(below[i], KIND_INDIRECT, RULE_LOST_OWNER);
		cr_assert_eq(owner_of(&r, below[i]), lost[i]);
	}
}

/* A compiler's page table entries: blocks of 64 bytes, each with the size of a page, which leads to another one, or to what was lost in between. */
Test(find, numbers_in_a_field_hold_no_block_however_few_of_its_site_are_lost)
{
	enum { N = 600 };
	hidden lost[N], below[N], table = block_of(8 * N, 1);
	hold(0, table, 0);
	for (unsigned i = 0; i < N; i++) {
		hidden entry = block_of(56, 2);
		put(table, 8 * i, entry, 0);
		put_word(entry, 24, 4096);
		lost[i] = i % 10 ? 0 : block_of(56, 100 + i); /* of a site of its own */
		below[i] = lost[i] ? block_of(40, 1000 + i) : 0;
		if (lost[i])
			put(lost[i], 16, below[i], 0);
	}
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < N; i += 10) {
		IS(lost[i], KIND_DEFINITE, RULE_NO_POINTER);
		IS(below[i], KIND_INDIRECT, RULE_LOST_OWNER);
		cr_assert_eq(owner_of(&r, below[i]), lost[i]);
	}
}

Test(find, a_table_of_numbers_holds_no_block)
{
	enum { N = 64, WORDS = 1000 };
	hidden lost[N], table = block_of(8 * WORDS, 1);
	hold(0, table, 0);
	for (unsigned i = 0; i < WORDS; i++)
		put_word(table, 8 * i, 16 * (i + 1));
	for (unsigned i = 0; i < N; i++)
		put_offset(table, 8 * 15 * i, lost[i] = block_of(100, 100 + i));
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < N; i++)
		IS(lost[i], KIND_DEFINITE, RULE_NO_POINTER);
}

Test(find, offsets_in_a_field_hold_their_blocks_beside_numbers_in_another_and_so_do_offsets_and_pointers_in_these)
{
	enum { N = 40 };
	hidden array[N], nested[N], leaf[N], table = block_of(8 * N, 1), single = block_of(200, 3), one = block_of(24, 4);
	hold(0, table, 0);
	for (unsigned i = 0; i < N; i++) {
		hidden owner = block_of(56, 2);
		put(table, 8 * i, owner, 0);
		put_word(owner, 8, 64 * i);
		put_word(owner, 16, 16 * i);
		put_offset(owner, 24, array[i] = block_of(200, 100 + i));
		put_offset(array[i], 8 * (i % 5), nested[i] = block_of(100, 200 + i));
		put(nested[i], 0, leaf[i] = block_of(30, 300 + i), 0);
	}
	hold(1, single, 0);
	put_offset(single, 40, one); /* is believed */
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < N; i++) {
		IS(array[i], KIND_REACHABLE, RULE_REACHABLE);
		IS(nested[i], KIND_REACHABLE, RULE_REACHABLE);
		IS(leaf[i], KIND_REACHABLE, RULE_REACHABLE);
	}
	IS(one, KIND_REACHABLE, RULE_REACHABLE);
}

/* More steps than are followed: kept, unseen. */
Test(find, a_long_chain_of_offsets_is_reachable)
{
	enum { N = 200 };
	hidden chain[N + 1];
	for (unsigned i = 0; i <= N; i++)
		chain[i] = block_of(100, 100 + i);
	hold(0, chain[N], 0);
	for (unsigned i = N; i > 0; i--)
		put_offset(chain[i], 8, chain[i - 1]);
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i <= N; i++)
		IS(chain[i], KIND_REACHABLE, RULE_REACHABLE);
}

Test(find, words_behind_what_was_asked_for_hold_nothing_unless_the_program_asked_what_it_may_use)
{
	hidden small = block_of(24, 1), large = block_of(100000, 2), packed = block_of(20, 4), lost[2], held[2], root = block_of(40, 5);
	hold(0, small, 0);
	hold(1, large, 0);
	hold(2, packed, 0);
	put(small, 16, held[0] = block_of(100, 6), 0);
	put(small, 24, lost[0] = block_of(100, 7), 0);
	put(large, 100000, lost[1] = block_of(100, 8), 0);
	put(packed, 12, held[1] = block_of(100, 9), 0); /* its last four bytes, and four of the program's before */
	put(lost[0], 104, root, 0);
	struct report r;
	take(&r, EACH);
	for (unsigned i = 0; i < 2; i++) {
		IS(held[i], KIND_REACHABLE, RULE_REACHABLE);
		IS(lost[i], KIND_DEFINITE, RULE_NO_POINTER);
	}
	IS(root, KIND_DEFINITE, RULE_NO_POINTER);
	report_drop(&r);
	cr_assert(heap_usable((void *)shown(small)) > 24);
	take(&r, EACH);
	for (unsigned i = 0; i < 2; i++)
		IS(lost[i], KIND_REACHABLE, RULE_REACHABLE);
	IS(root, KIND_REACHABLE, RULE_REACHABLE);
	sites_whole = false;
}

Test(find, without_any_memory_there_is_a_reason_and_no_report)
{
	block_of(24, 1);
	cr_assert_null(fault_parse("mmap"));
	struct report r;
	report_take(&r, EACH);
	cr_assert_null(fault_parse(""));
	cr_assert(!r.complete && r.reason && !r.sites && !r.blocks && !r.count);
	report_drop(&r);
	take(&r, EACH); /* and the next one has all of it */
	cr_assert_eq(r.total[KIND_DEFINITE].blocks, 1);
}

Test(find, a_report_that_is_held_is_no_root)
{
	for (unsigned i = 0; i < 500; i++)
		block_of(24, 1 + i % 7);
	struct report first, second;
	take(&first, EACH);
	take(&second, EACH);
	cr_assert_eq(first.total[KIND_DEFINITE].blocks, 500);
	cr_assert_eq(second.total[KIND_DEFINITE].blocks, 500);
	cr_assert_eq(second.total[KIND_POSSIBLE].blocks, 0);
}

Test(find, sites_stand_in_order_and_blocks_name_their_site)
{
	hidden h[300];
	for (unsigned i = 0; i < NELEM(h); i++)
		h[i] = block_of(16 + 40 * (i % 23), 1 + i % 23);
	hidden held = block_of(100000, 99);
	hold(0, held, 0);
	struct report r;
	take(&r, EACH);
	cr_assert_eq(r.count, 24);
	for (uint32_t i = 1; i + 1 < r.count; i++)
		must(r.sites[i - 1].s.kind[KIND_DEFINITE].bytes >= r.sites[i].s.kind[KIND_DEFINITE].bytes, "site %u is out of order", i);
	cr_assert_eq(r.sites[r.count - 1].s.kind[KIND_REACHABLE].blocks, 1, "what is not lost comes last, whatever its size");
	for (unsigned i = 0; i < NELEM(h); i++)
		must(r.sites[block_in(&r, h[i])->site].s.frame == site_of(h[i]), "block %u names another site", i);
	cr_assert_eq(r.sites[block_in(&r, held)->site].s.frame, site_of(held));
}

/* ---- random graphs against an oracle that is as plain as can be ---- */

enum { NODES = 40, WORDS = 5, INNER = 36 /* no multiple of 8: as good as nothing */ };

static struct graph {
	hidden node[NODES];
	int to[NODES][WORDS];      /* -1: nothing; + NODES: an inner pointer */
	int root[8];
	bool start[NODES][NODES], any[NODES][NODES]; /* reaches */
	bool firm[NODES], full[NODES];
} g;

static void close_over(bool m[NODES][NODES])
{
	for (int k = 0; k < NODES; k++)
		for (int i = 0; i < NODES; i++)
			for (int j = 0; j < NODES && m[i][k]; j++)
				m[i][j] |= m[k][j];
}

static void make_graph(uint64_t *seed)
{
	unsigned density = 1 + noise(seed) % 4, roots = noise(seed) % 5;
	memset(&g, 0, sizeof g);
	for (int i = 0; i < NODES; i++)
		g.node[i] = block_of(64, 1 + (unsigned)i);
	for (int i = 0; i < NODES; i++)
		for (int w = 0; w < WORDS; w++) {
			g.to[i][w] = noise(seed) % (2 * WORDS) < density ? (int)(noise(seed) % NODES) + (noise(seed) % 4 ? 0 : NODES) : -1;
			if (g.to[i][w] >= 0)
				put(g.node[i], (size_t)w * 8, g.node[g.to[i][w] % NODES], g.to[i][w] < NODES ? 0 : INNER);
		}
	for (unsigned i = 0; i < NELEM(g.root); i++) {
		g.root[i] = i < roots ? (int)(noise(seed) % NODES) + (noise(seed) % 2 ? 0 : NODES) : -1;
		globals[i] = 0;
		if (g.root[i] >= 0)
			hold(i, g.node[g.root[i] % NODES], g.root[i] < NODES ? 0 : INNER);
	}
}

static void solve(void)
{
	for (int i = 0; i < NODES; i++)
		for (int w = 0; w < WORDS; w++)
			if (g.to[i][w] >= 0 && g.to[i][w] % NODES != i) {
				g.any[i][g.to[i][w] % NODES] = true;
				g.start[i][g.to[i][w] % NODES] |= g.to[i][w] < NODES;
			}
	close_over(g.any);
	close_over(g.start);
	for (unsigned r = 0; r < NELEM(g.root); r++)
		for (int i = 0; i < NODES && g.root[r] >= 0; i++) {
			int n = g.root[r] % NODES;
			g.full[i] |= n == i || g.any[n][i];
			g.firm[i] |= g.root[r] < NODES && (n == i || g.start[n][i]);
		}
}

/* Does a block that `from` is true for, or a root, point to n? */
static bool pointed(int n, const bool *from, bool inner)
{
	for (int i = 0; i < NODES; i++)
		for (int w = 0; w < WORDS && from[i]; w++)
			if (i != n && (g.to[i][w] == n + NODES || (!inner && g.to[i][w] == n)))
				return true;
	for (unsigned r = 0; r < NELEM(g.root) && inner; r++)
		if (g.root[r] == n + NODES)
			return true;
	return false;
}

static int node_of(hidden h)
{
	for (int i = 0; i < NODES; i++)
		if (g.node[i] == h)
			return i;
	return -1;
}

static void check_lost(const struct report *r, int n, int round)
{
	bool lost[NODES], source = true;
	int definite = 0;
	for (int i = 0; i < NODES; i++)
		lost[i] = !g.full[i];
	for (int i = 0; i < NODES; i++) {
		bool same = i == n || (g.any[i][n] && g.any[n][i]);
		source &= !(lost[i] && g.any[i][n] && !same);
		definite += same && kind_of(r, g.node[i]) == KIND_DEFINITE;
	}
	int kind = kind_of(r, g.node[n]), rule = rule_of(r, g.node[n]);
	must(definite == source, "round %d: %d definite blocks in the component of node %d", round, definite, n);
	if (kind == KIND_DEFINITE) {
		must(rule == (pointed(n, lost, false) ? RULE_CYCLE : RULE_NO_POINTER), "round %d: node %d is definite by rule %d", round, n, rule);
		return;
	}
	int owner = node_of(owner_of(r, g.node[n]));
	must(kind == KIND_INDIRECT && rule == RULE_LOST_OWNER, "round %d: lost node %d is of kind %d by rule %d", round, n, kind, rule);
	must(owner >= 0 && kind_of(r, g.node[owner]) == KIND_DEFINITE && g.any[owner][n], "round %d: node %d has owner %d", round, n, owner);
}

static void check_possible(const struct report *r, int n, int round)
{
	int kind = kind_of(r, g.node[n]), rule = rule_of(r, g.node[n]), owner = node_of(owner_of(r, g.node[n]));
	bool inner = pointed(n, g.firm, true);
	must(kind == KIND_POSSIBLE && rule == (inner ? RULE_INTERIOR_ONLY : RULE_POSSIBLE_OWNER), "round %d: node %d is of kind %d by rule %d", round, n,
	     kind, rule);
	must(inner || (owner >= 0 && kind_of(r, g.node[owner]) == KIND_POSSIBLE && g.any[owner][n]), "round %d: node %d has owner %d", round, n, owner);
}

Test(find, random_graphs_are_told_as_a_plain_oracle_tells_them)
{
	uint64_t seed = 20240607;
	for (int round = 0; round < 300; round++) {
		struct report r;
		uint64_t owned = 0;
		make_graph(&seed);
		solve();
		take(&r, EACH);
		for (int n = 0; n < NODES; n++) {
			if (g.firm[n])
				must(kind_of(&r, g.node[n]) == KIND_REACHABLE, "round %d: node %d is of kind %d", round, n, kind_of(&r, g.node[n]));
			else if (g.full[n])
				check_possible(&r, n, round);
			else
				check_lost(&r, n, round);
			owned += site_in(&r, g.node[n])->s.owned_blocks;
		}
		must(owned == r.total[KIND_INDIRECT].blocks, "round %d: %lu blocks are owned, %lu indirect", round, owned, r.total[KIND_INDIRECT].blocks);
		must(r.block_count == NODES, "round %d: %lu blocks", round, r.block_count);
		report_drop(&r);
		for (int n = 0; n < NODES; n++)
			heap_free((void *)shown(g.node[n]));
	}
}

static void sampled(void)
{
	report_sample = 16 << 10;
	report_begin();
}

/* 9.6 MB in samples of 16 KiB are some 590: a standard error of 4 %. */
Test(find, samples_stand_for_all_blocks_of_their_chance_and_others_for_none, .init = sampled)
{
	enum { N = 100000, SIZE = 96 };
	for (unsigned i = 0; i < N; i++)
		must(heap_malloc(SIZE) != NULL, "no memory");
	struct report r;
	take(&r, 0);
	double blocks = 0, bytes = 0, error = 0;
	for (uint32_t i = 0; i < r.count; i++) {
		const struct snapshot_site *s = &r.sites[i].s;
		cr_assert_neq(s->frame, 0); /* no row for what was not recorded */
		blocks += (double)s->kind[KIND_DEFINITE].blocks;
		bytes += (double)s->kind[KIND_DEFINITE].bytes;
		error += s->factor_bytes * s->factor_bytes;
	}
	cr_assert(blocks > 0.8 * N && blocks < 1.2 * N, "%.0f blocks", blocks);
	cr_assert(bytes > 0.8 * N * SIZE && bytes < 1.2 * N * SIZE, "%.0f bytes", bytes);
	cr_assert(error > 0.0009 * N * SIZE * N * SIZE && error < 0.0036 * N * SIZE * N * SIZE, "standard error squared %g", error);
	report_drop(&r);
}
