/*
 * What is lost, and what hangs off what: one cycle that judges nothing (cycle/look.c), inside whose stop
 *
 *   1. what is marked by pointers to starts is remembered (SET_FIRM), slots on alloc lists are set apart;
 *   2. after the whole mark, less what numbers hold that happen to be offsets (offsets.c), each block that is not marked is lost. Every lost block is scanned; one that another one points to is `met`.
 *   3. A lost block that nobody met is definite. What it reaches is indirect, and its own: whoever comes first owns a block.
 *   4. What is left stands on cycles or hangs off them. It is walked from the first block that was not walked yet, again and again; these
 *      firsts are tried in reverse order: one that no later first reaches can be reached by what it reaches itself only, so it is definite,
 *      one block of its cycle. (An earlier first would have walked it. So no list of components is needed, no depth and no order of visits:
 *      two bits a block, where Tarjan takes two numbers and a stack.)
 *   5. In a child of fork, what it made itself and hangs off what its parent made and the child lost: nobody else tells of it, so the first block
 *      of its own behind one of the parent's is definite, and what that reaches is indirect.
 *   6. possible ones (kinds.c); all others are reachable.
 *
 * A definite block of a cycle is thus the first one, in the order of spans, of a strongly connected component into which no pointer leads from
 * outside. An interior pointer between lost blocks counts like any other; offsets (mark/filter.h) do not: small numbers are more frequent.
 */
#include "report/find.h"
#include "report/suppress.h"
#include "cycle/cycle_parts.h"
#include "backtrace/backtrace.h"
#include "base/fault.h"
#include "base/options.h"
#include "heap/self.h"
#include "heap/sites.h"
#include "os/os.h"
#include "roots/roots.h"

enum { SMALL_HEAP = 8 << 20, TINY_HEAP = 256 << 10, ATTEMPTS = 10, RING = 16, PAUSE_NS = 2000000, STACK_BYTES = 4096, ENDING_REACH = 64 * 1024, EDGES_BYTES = MARK_PIECE_EDGES * 8 + 4088 };

static struct {
	struct report *r;
	uint64_t *first;           /* [span index]: where its bits begin, in words; the sets lie behind it */
	uint64_t *bits[SETS];
	size_t set_bytes, sets_bytes; /* of one, of all with `first` */
	uint32_t spans;
	uintptr_t *edges;          /* of the piece that is being looked at */
	uintptr_t *stack;          /* blocks that a walk has entered and not looked at */
	size_t top, room;
	bool overflow;             /* a block was entered that found no room on the stack */
	bool complete;
	void (*then)(void *arg);   /* NULL, or who has another question */
	void *arg;
} f;

/* ---- sets ---- */

uint64_t *find_word(enum set which, struct place p) { return &f.bits[which][f.first[p.s->index] + p.slot / 64]; }
bool find_has(enum set which, struct place p) { return *find_word(which, p) >> p.slot % 64 & 1; }
bool find_put(enum set which, struct place p)
{
	uint64_t *word = find_word(which, p), bit = 1ull << p.slot % 64;
	bool fresh = !(*word & bit);
	*word |= bit;
	return fresh;
}
void find_clear(enum set which) { __builtin_memset(f.bits[which], 0, f.set_bytes); }
static void take_out(enum set which, struct place p) { *find_word(which, p) &= ~(1ull << p.slot % 64); }

uint32_t find_spans(void) { return f.spans; }

static bool make_sets(void)
{
	uint64_t words = 0;
	f.spans = span_count();
	for (uint32_t i = 0; i < f.spans; i++)
		words += span_holds_blocks(&arena.spans[i]) ? (arena.spans[i].slots + 63) / 64 : 0;
	f.set_bytes = align_up(words * 8 + 8, CACHE_LINE);
	const size_t first_bytes = align_up(f.spans * sizeof *f.first, CACHE_LINE);
	f.sets_bytes = align_up(first_bytes + SETS * f.set_bytes, OS_PAGE);
	if (!(f.first = os_map(f.sets_bytes)))
		return false;
	for (uint32_t i = 0; i < SETS; i++)
		f.bits[i] = f.first + (first_bytes + i * f.set_bytes) / sizeof *f.first;
	words = 0;
	for (uint32_t i = 0; i < f.spans; i++) {
		f.first[i] = words;
		words += span_holds_blocks(&arena.spans[i]) ? (arena.spans[i].slots + 63) / 64 : 0;
	}
	f.room = STACK_BYTES / sizeof *f.stack;
	f.edges = os_map(align_down(EDGES_BYTES, OS_PAGE));
	f.stack = os_map(STACK_BYTES);
	return f.edges && f.stack;
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		os_unmap(p, bytes);
}

static void drop_stack(void)
{
	unmap(f.stack, f.room * sizeof *f.stack);
	f.stack = NULL;
}

static void drop_sets(void)
{
	drop_stack();
	unmap(f.first, f.sets_bytes);
	unmap(f.edges, align_down(EDGES_BYTES, OS_PAGE));
	f.first = f.edges = NULL;
	os_map_soon(0);
	if (!f.complete)
		gather_drop();
}

/* ---- blocks ---- */

bool place_lost(struct place p)
{
	uint8_t b = p.s->state[p.slot];
	return state_is_block(b) && !state_is_marked(b);
}
bool place_possible(struct place p) { return state_is_marked(p.s->state[p.slot]) && !find_has(SET_FIRM, p); }

bool find_slot(uintptr_t w, struct place *p)
{
	if (!arena_contains(w))
		return false;
	p->s = arena_span(w);
	p->slot = span_slot(p->s, w);
	return p->slot < p->s->slots && p->s->index < f.spans;
}
bool find_lost(uintptr_t w, struct place *p) { return find_slot(w, p) && place_lost(*p); }
bool find_possible(uintptr_t w, struct place *p) { return find_slot(w, p) && place_possible(*p); }

void find_edges(struct place p, bool (*holder)(uintptr_t w, struct place *p), void (*fn)(struct place to))
{
	uintptr_t low = place_address(p), end = mark_block_end(p.s, p.slot);
	for (; low < end; low += MARK_PIECE) {
		size_t n = mark_edges_of(low, end - low > MARK_PIECE ? low + MARK_PIECE : end, p.s->block, f.edges);
		for (size_t i = 0; i < n; i++) {
			struct place to;
			if (holder(f.edges[i], &to) && !(to.s == p.s && to.slot == p.slot))
				fn(to);
		}
	}
}

/* ---- walks ---- */

static const struct walk *walk;

static void visit(struct place to)
{
	if (!walk->enter(to))
		return;
	if (f.top == f.room) {
		size_t bytes = f.room * sizeof *f.stack;
		uintptr_t *bigger = os_remap(f.stack, bytes, 2 * bytes);
		if (!bigger) {
			f.overflow = true;
			return;
		}
		f.stack = bigger;
		f.room *= 2;
	}
	f.stack[f.top++] = place_address(to);
}

static void look_at(struct place p) { find_edges(p, walk->holder, visit); }

/* Blocks wait in a ring until their first lines are in the cache; as the marker's do. */
static void empty_stack(void)
{
	uintptr_t ring[RING];
	for (unsigned in = 0, out = 0;;) {
		struct place p;
		for (; f.top && in - out < RING; in++) {
			ring[in % RING] = f.stack[--f.top];
			__builtin_prefetch((void *)ring[in % RING]);
			__builtin_prefetch((void *)(ring[in % RING] + CACHE_LINE));
		}
		if (in == out)
			return;
		if (find_slot(ring[out++ % RING], &p))
			look_at(p);
	}
}

static void look_again(struct place p)
{
	look_at(p);
	empty_stack();
}

void find_walk(const struct walk *by, struct place from)
{
	walk = by;
	look_again(from);
	while (f.overflow) { /* each round that drops has entered a block, so this ends */
		f.overflow = false;
		find_each(walk->among, walk->done, look_again);
	}
}

/* ---- lost blocks ---- */

static struct place owner;
static bool orphans; /* some lost block was put in SET_PLAIN, which is free for them: it hangs off one that is a parent's to tell */

static void meet(struct place to) { find_put(SET_MET, to); }
static bool any_lost;
static void look_for_met(struct place p)
{
	any_lost = true;
	find_edges(p, find_lost, meet);
}

static bool enter_indirect(struct place p)
{
	if (!find_put(SET_SEEN, p))
		return false;
	if (gather_leaves(owner) && !gather_leaves(p))
		orphans = find_put(SET_PLAIN, p) || orphans;
	else
		gather_block(p, KIND_INDIRECT, RULE_LOST_OWNER, owner);
	return true;
}
static bool lost_and_seen(struct place p) { return place_lost(p) && find_has(SET_SEEN, p); }

static void definite(struct place p, enum snapshot_rule rule)
{
	static const struct walk indirect = { find_lost, enter_indirect, lost_and_seen, LOST };
	find_put(SET_SEEN, p);
	gather_block(p, KIND_DEFINITE, rule, (struct place){ 0 });
	owner = p;
	find_walk(&indirect, p);
}

static bool nobody_met(struct place p) { return place_lost(p) && !find_has(SET_MET, p) && !find_has(SET_SEEN, p); }
static bool heads_of_parent; /* they come after all others, so that what hangs off one of those, too, is theirs */
static void definite_of_own(struct place p)
{
	if (gather_leaves(p))
		heads_of_parent = true;
	else
		definite(p, RULE_NO_POINTER);
}
static void definite_alone(struct place p) { definite(p, RULE_NO_POINTER); }
static void definite_of_cycle(struct place p) { definite(p, RULE_CYCLE); }

/* Step 4: what is walked stands in SET_FIRM, which is free for lost blocks; a first is `met` no more. */
static bool left_over(struct place p) { return place_lost(p) && !find_has(SET_SEEN, p) && !find_has(SET_FIRM, p); }
static bool enter_left_over(struct place p) { return !find_has(SET_SEEN, p) && find_put(SET_FIRM, p); }
static bool walked(struct place p) { return place_lost(p) && find_has(SET_FIRM, p); }
static void walk_from_first(struct place p)
{
	static const struct walk rest = { find_lost, enter_left_over, walked, LOST };
	find_put(SET_FIRM, p);
	take_out(SET_MET, p);
	find_walk(&rest, p);
}

/* Step 5. What hangs off a parent's block alone is in SET_PLAIN; the first ones behind it move to SET_MET, which is done with. */
static struct place parents;
static bool orphan(struct place p) { return place_lost(p) && find_has(SET_PLAIN, p); }
static bool find_orphan(uintptr_t w, struct place *p) { return find_slot(w, p) && orphan(*p); }
static void adopt(struct place p)
{
	if (!find_put(SET_MET, p))
		return;
	take_out(SET_PLAIN, p);
	gather_block(p, KIND_DEFINITE, RULE_LOST_OWNER, parents);
}
static bool parents_lost(struct place p) { return place_lost(p) && gather_leaves(p); }
static void adopt_from(struct place p)
{
	parents = p;
	find_edges(p, find_orphan, adopt);
}
static bool adopted(struct place p) { return place_lost(p) && find_has(SET_MET, p); }
static bool enter_orphan(struct place p)
{
	take_out(SET_PLAIN, p);
	gather_block(p, KIND_INDIRECT, RULE_LOST_OWNER, owner);
	return true;
}
static void walk_from_adopted(struct place p)
{
	static const struct walk indirect = { find_orphan, enter_orphan, lost_and_seen, LOST };
	owner = p;
	gather_owned_by(p);
	find_walk(&indirect, p);
}

static void tell_orphans(void)
{
	find_clear(SET_MET);
	find_each(LOST, parents_lost, adopt_from);
	find_each(LOST, adopted, walk_from_adopted);
	find_clear(SET_MET);
}

static void sort_out_lost(void)
{
	any_lost = orphans = heads_of_parent = false;
	find_each(LOST, place_lost, look_for_met);
	if (!any_lost)
		return;
	find_each(LOST, nobody_met, definite_of_own);
	if (heads_of_parent)
		find_each(LOST, nobody_met, definite_alone);
	find_each(LOST, left_over, walk_from_first);
	(fault(FAULT_first_of_cycle) ? find_each : find_each_backwards)(LOST, nobody_met, definite_of_cycle);
	if (orphans)
		tell_orphans();
}

/* ---- the look ---- */

static bool set_apart(struct span *s, uint32_t slot)
{
	find_put(SET_SEEN, (struct place){ s, slot });
	return true;
}

static bool place_marked(struct place p) { return state_is_marked(p.s->state[p.slot]); }

struct asked {
	struct report *r;
	unsigned flags;
	uintptr_t watched;
	void (*then)(void *arg);
	void *arg;
};

/* Needs no set. */
static bool every_unmarked(bool (*is)(struct place p))
{
	for (uint32_t i = 0, spans = span_count(); i < spans; i++) {
		const struct span *s = &arena.spans[i];
		for (uint32_t from = 0; span_holds_blocks(s) && from < s->slots; from += 64)
			for (uint64_t left = find_unmarked(s, from); left; left &= left - 1)
				if (!is((struct place){ s, from + (uint32_t)__builtin_ctzll(left) }))
					return false;
	}
	return true;
}

/* All that a child made is reachable, by what counts most: the rest is its parent's to tell. */
static bool is_inherited(struct place p) { return heap_is_inherited(p.s->state[p.slot]); }
static bool nothing_lost(void *arg)
{
	const struct asked *asked = arg;
	return asked->r->complete = every_unmarked(is_inherited);
}

/* Under the collect lock from here on. */
static bool firm(void *arg)
{
	const struct asked *asked = arg;
	f = (typeof(f)){ .r = asked->r, .then = asked->then, .arg = asked->arg };
	gather_watched = (struct watched){ .hidden = asked->watched };
	os_map_soon(7 * OS_PAGE); /* a small heap's sets, the stack, and what gather.c makes */
	if (!gather_begin(asked->r, asked->flags) || !make_sets())
		return false;
	find_put_marked(SET_FIRM);
	return heap_each_cached(set_apart);
}

static void plain(void *arg) { find_put_marked(SET_PLAIN); }
/* Slots on alloc lists hold old words. */
static bool scanned(const struct span *s, uint32_t slot) { return !find_has(SET_SEEN, (struct place){ s, slot }); }

static bool uncounted(struct place p) { return place_marked(p) && !find_has(SET_SEEN, p); }
static void reachable(struct place p) { gather_block(p, KIND_REACHABLE, RULE_REACHABLE, (struct place){ 0 }); }

static void all(bool cut)
{
	if (cut)
		gather_cut();
	offsets_judge();
	sort_out_lost();
	kinds_possible();
	if (gather_wants_reachable())
		find_each(MARKED, uncounted, reachable);
	f.r->complete = f.complete = true;
	gather_end();
	f.r->cut = gather_was_cut();
	os_map_soon(0);
	if (f.then) {
		drop_stack(); /* full of addresses, and `then` looks at roots */
		int edges = roots_exclude_for_now((uintptr_t)f.edges, (uintptr_t)(f.edges + MARK_PIECE_EDGES));
		f.then(f.arg);
		roots_include(edges);
	}
}

static uintptr_t ending; /* the frame below which the process ends */
void report_ending(uintptr_t frame) { ending = frame; }

/* Words below tell nothing certain: frames of ours, in whose holes old ones of the program show. */
static uintptr_t weak_below(uintptr_t here) { return ending > here && ending - here < ENDING_REACH ? ending : here; }

bool find_watched(struct place p) { return place_address(p) == ~gather_watched.hidden; }

static void mark_weak(uintptr_t word)
{
	struct place p;
	if (!find_slot(word, &p) || !find_watched(p))
		mark_word(word);
}

/* The same of blocks that it knows it made, before the whole look. */
static bool is_marked(const struct span *s, uint32_t slot) { return state_is_marked(s->state[slot]); }
static bool made_are_marked(void *arg) { return sites_each_made(is_marked); }

/* Of all blocks that count: with sample= a small program often has none. A free slot on a list of a cache says so. */
static bool is_nothing(struct place p)
{
	if (sites_sampled() && !sites_of(p.s, p.slot))
		return true;
	return p.s->kind == SPAN_SMALL && slot_is_cached(((const struct slot *)place_address(p))->key, span_state_bytes(p.s) + p.slot);
}
static bool all_are_marked(void *arg) { return every_unmarked(is_nothing); }

static bool holds_more(size_t bytes)
{
	struct heap_totals t;
	heap_totals(&t);
	return t.live > bytes;
}

static bool kept_all(bool of_child, uintptr_t weak)
{
	const struct cycle_look look = { .apart = of_child, .enough = of_child ? made_are_marked : all_are_marked, .weak_below = weak,
		                         .as_good = kinds_as_good, .no_mark = holds_more(SMALL_HEAP) /* a large heap is not marked twice */ };
	return !options.verify && !fault_armed && cycle_look_few(&look);
}

void find_take(struct report *r, unsigned flags, uintptr_t weak, uintptr_t watched, void (*then)(void *arg), void *arg)
{
	struct asked asked = { r, flags, watched, then, arg };
	const bool of_child = flags & REPORT_OF_CHILD;
	const struct cycle_look look = {
		.apart = of_child, .enough = of_child ? nothing_lost : NULL, .weak_below = weak, .weak_registers = watched != 0, .weak = mark_weak,
		.as_good = kinds_as_good, .firm = firm, .plain = plain, .scanned = scanned, .all = all, .done = drop_sets, .arg = &asked
	};
	*r = (struct report){ 0 };
	for (int attempt = 0; attempt < ATTEMPTS && !r->complete; attempt++) {
		if (attempt)
			os_sleep_ns(PAUSE_NS);
		enum abort_reason reason = cycle_look(&look);
		if (reason == ABORT_NONE)
			continue;
		r->reason = self.busy ? "the thread was in the middle of malloc" : abort_names[reason];
		r->hint = self.busy ? "ask another thread, or run again" : abort_hints[reason];
	}
}

/* What the program freed goes back to the system, as it would a moment later, and what recording kept for the next block: so the report's own memory is
 * seldom the process's maximum. Not in a handler on top of malloc or free that calls exit: their locks may be held below it. */
static void make_room(void)
{
	backtrace_rest();
	if (!self.busy)
		heap_purge(true);
}

static __attribute__((noinline)) void take(struct report *r, unsigned flags)
{
	const uintptr_t weak = weak_below((uintptr_t)__builtin_dwarf_cfa());
	const bool of_child = flags & REPORT_OF_CHILD, sums = !(flags & REPORT_ONE_BY_ONE);
	const bool last = flags & REPORT_LAST, early = last && holds_more(TINY_HEAP);
	if (early)
		make_room();
	if ((of_child || sums) && kept_all(of_child, weak)) {
		*r = (struct report){ .complete = true };
	} else {
		if (last && !early)
			make_room();
		find_take(r, flags, weak, 0, NULL, NULL);
	}
	__asm__ volatile("" ::: "memory"); /* no tail call: the frame stays */
}

void report_take(struct report *r, unsigned flags)
{
	__builtin_unwind_init(); /* registers of the program that ours would save below */
	take(r, flags);
	if (r->complete)
		report_finish(r, flags);
	__asm__ volatile("" ::: "memory");
}
