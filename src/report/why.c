/*
 * Why is this block still there? The shortest way from a root to it, and what that root is called.
 *
 *   1. A report of its own tells the block's kind. The address asked for stands in frames and registers of the asking thread: words there, below
 *      our own signal's frame when its handler asks, lead to anything but the block itself.
 *   2. In the same stop a search, breadth first: every root's words (roots_look), then block by block what they lead to. The queue is also the
 *      record of parents; it has room for every marked block, and a block enters it once. Plain words first; if they do not reach the block, offsets
 *      (mark/filter.h) too, and at last the asker's frames.
 *   3. The way back is read off the parents. Which word of each block leads on is looked up for the hops that are told, and the roots are gone
 *      through once more for the word that leads to the first block: a variable before a stack's, that before a register's, before others.
 *   4. After the resume it is put into words.
 *
 * The queue and the answer are kept out of the roots: they are full of addresses.
 */
#include "report/why.h"
#include "heap/sites.h"
#include "mark/mark.h"
#include "os/os.h"
#include "report/find.h"
#include "roots/roots.h"
#include "threads/threads.h"

enum { NONE = UINT32_MAX };
enum phase { PLAIN, OFFSETS, ASKER, PHASES };

static struct {
	struct why_answer *a;
	uintptr_t *block;          /* the queue */
	uint32_t *parent;          /* [place in the queue]: another one; NONE: a root */
	uint32_t count, room, found;
	uintptr_t *edges;          /* of one piece */
	uint8_t *copy;             /* of a piece of a root */
	enum phase phase;
	uintptr_t first;           /* step 3: the block that the root holds */
	unsigned rank;             /* of the best root so far */
} w;

/* ---- the search ---- */

/* On an alloc list. A lost block of a cycle is in both sets, too, and not marked. */
static bool cached(struct place p) { return state_is_marked(p.s->state[p.slot]) && find_has(SET_FIRM, p) && find_has(SET_SEEN, p); }

static void reach(uintptr_t word, uint32_t from)
{
	struct place p;
	if (!find_slot(word, &p) || !state_is_marked(p.s->state[p.slot]) || cached(p) || w.count == w.room)
		return;
	bool question = w.phase == ASKER && from == NONE && place_address(p) == w.a->block;
	if (question || !find_put(SET_MET, p))
		return;
	w.block[w.count] = place_address(p);
	w.parent[w.count] = from;
	if (place_address(p) == w.a->block)
		w.found = w.count;
	w.count++;
}

/* A stack's word just behind a block that fills its slot may be that block's (mark.c, mark_left). */
static bool boundary_of(uintptr_t word, struct place *p)
{
	return word % 16 == 0 && find_slot(word - 1, p) && p->s->exact && place_address(*p) + p->s->block == word;
}

/* Those that mark_word gets count as stack. */
static bool on_stack(unsigned kind) { return kind != ROOT_MEMORY && kind != ROOT_CODE && kind != ROOT_RING; }

/* Calls fn for each piece of [low, high) as it can be read. */
static void each_piece(uintptr_t low, uintptr_t high, void (*fn)(uintptr_t at, size_t bytes))
{
	for (uintptr_t at = align_up(low, 8), end; at + 8 <= high; at = end) {
		end = align_down(at, MARK_PIECE) + MARK_PIECE;
		end = end < high ? end : align_down(high, 8);
		if (os_read_self(w.copy, at, end - at) == (long)(end - at)) {
			fn(at, end - at);
			continue;
		}
		for (uintptr_t page = at, next; page < end; page = next) { /* one page that can't be read has no say over others */
			next = align_down(page, OS_PAGE) + OS_PAGE < end ? align_down(page, OS_PAGE) + OS_PAGE : end;
			if (os_read_self(w.copy, page, next - page) == (long)(next - page))
				fn(page, next - page);
		}
	}
}

/* What of a root belongs to this phase. */
static void each_part(uintptr_t low, uintptr_t high, void (*fn)(uintptr_t at, size_t bytes))
{
	uintptr_t weak_low, weak_high, words = (uintptr_t)threads_root(0)->words;
	roots_weak_range(&weak_low, &weak_high);
	if (low - words < sizeof threads_root(0)->words) {
		weak_low = low;
		weak_high = high;
	}
	bool apart = weak_high <= low || weak_low >= high;
	uintptr_t from = weak_low > low ? weak_low : low, to = weak_high < high ? weak_high : high;
	if (w.phase == ASKER) {
		if (!apart)
			each_piece(from, to, fn);
	} else if (apart) {
		each_piece(low, high, fn);
	} else {
		each_piece(low, from, fn);
		each_piece(to, high, fn);
	}
}

/* The words of the copy that lead into the arena. */
static size_t edges_of_copy(size_t bytes, unsigned shift)
{
	if (bytes <= shift)
		return 0;
	return mark_edges_of((uintptr_t)w.copy + shift, (uintptr_t)w.copy + shift + align_down(bytes - shift, 8), SIZE_MAX, w.edges);
}

static void reach_from_piece(uintptr_t at, size_t bytes)
{
	unsigned kind = roots_looked_kind();
	for (unsigned shift = 0; shift < (kind == ROOT_CODE ? 8u : 1u); shift++)
		for (size_t i = 0, n = edges_of_copy(bytes, shift); i < n; i++)
			reach(w.edges[i], NONE);
	struct place p;
	for (size_t i = 0; on_stack(kind) && i < bytes / 8; i++)
		if (boundary_of(((word_t *)w.copy)[i], &p))
			reach(place_address(p), NONE);
}
static void reach_from_root(uintptr_t low, uintptr_t high) { each_part(low, high, reach_from_piece); }

/* Word `i` of a block as an offset from its start to another one's. */
static uintptr_t offset_target(uintptr_t block, uintptr_t word)
{
	struct place p;
	return word && word % 16 == 0 && find_slot(block + word, &p) && place_address(p) == block + word ? block + word : 0;
}

static void reach_from_block(uint32_t index)
{
	struct place p;
	find_slot(w.block[index], &p);
	uintptr_t start = place_address(p), end = mark_block_end(p.s, p.slot), word;
	for (uintptr_t low = start; low < end; low += MARK_PIECE) {
		uintptr_t high = end - low > MARK_PIECE ? low + MARK_PIECE : end;
		for (size_t i = 0, n = mark_edges_of(low, high, p.s->block, w.edges); i < n; i++)
			reach(w.edges[i], index);
		for (uintptr_t at = low; w.phase >= OFFSETS && at < high; at += 8)
			if (mark_read(at, 1, &word) && offset_target(start, word))
				reach(start + word, index);
	}
}

static void search(void)
{
	find_clear(SET_MET);
	for (w.phase = PLAIN; w.phase < PHASES; w.phase++) {
		if (w.phase != OFFSETS)
			roots_look(reach_from_root);
		for (uint32_t i = 0; i < w.count && w.found == NONE; i++)
			reach_from_block(i);
		if (w.found != NONE)
			return;
	}
}

/* ---- the way back ---- */

/* Where in block `from` the first word stands that leads to block `to`. */
static size_t leads_on(uintptr_t from, struct place to)
{
	struct place p, there;
	find_slot(from, &p);
	for (uintptr_t at = from, word; at < mark_block_end(p.s, p.slot); at += 8) {
		for (size_t i = 0, n = mark_edges_of(at, at + 8, p.s->block, w.edges); i < n; i++)
			if (find_slot(w.edges[i], &there) && there.s == to.s && there.slot == to.slot)
				return at - from;
		if (w.phase >= OFFSETS && mark_read(at, 1, &word) && offset_target(from, word) == place_address(to))
			return at - from;
	}
	return WHY_NOWHERE; /* align=4: between two words */
}

static struct why_hop hop_of(uintptr_t block)
{
	struct place p;
	find_slot(block, &p);
	return (struct why_hop){ .block = block, .bytes = block_bytes(p.s, p.slot), .site = sites_of(p.s, p.slot), .offset = WHY_NOWHERE };
}

/* From the block back to the root; of a long way only both ends are told. */
static void read_way(void)
{
	struct why_answer *a = w.a;
	uint32_t length = 0, next = NONE;
	for (uint32_t i = w.found; i != NONE; i = w.parent[i])
		length++;
	a->length = length;
	for (uint32_t i = w.found, left = length; i != NONE; next = i, i = w.parent[i]) {
		left--; /* hops before this one */
		uint32_t at = left < WHY_HOPS / 2 ? left : length <= WHY_HOPS ? left : left >= length - WHY_HOPS / 2 ? left - (length - WHY_HOPS) : NONE;
		w.first = w.block[i];
		if (at == NONE)
			continue;
		a->hops[at] = hop_of(w.block[i]);
		struct place to;
		if (next != NONE && find_slot(w.block[next], &to))
			a->hops[at].offset = leads_on(w.block[i], to);
	}
}

static void name_root(uintptr_t at, uintptr_t word)
{
	const char *module;
	uintptr_t offset;
	unsigned kind = roots_looked_kind();
	struct why_root root = { .kind = kind, .at = at, .word = word };
	unsigned rank = kind == ROOT_REGISTERS ? 3 : kind != ROOT_MEMORY ? 6 : roots_module_of(at, &module, &offset) ? 1 : 5;
	for (size_t i = 0; kind <= ROOT_STACK && i < threads_count(); i++) {
		const struct thread_root *t = threads_root(i);
		bool its_word = at - (uintptr_t)t->words < sizeof t->words;
		if (!its_word && at - t->live.low >= t->live.high - t->live.low && at - t->frame.low >= t->frame.high - t->frame.low)
			continue;
		root.tid = t->tid;
		root.asker = w.phase == ASKER;
		root.above_sp = (intptr_t)(at - t->sp);
		if (its_word)
			root.name = threads_word_name(t, (unsigned)((at - (uintptr_t)t->words) / 8));
		else
			rank = root.above_sp >= 0 ? 2 : 4; /* below: our signal's frame, which holds the registers again */
	}
	if (rank >= w.rank)
		return;
	w.rank = rank;
	w.a->root = root;
}

static bool leads_to_first(size_t edges)
{
	struct place p;
	for (size_t i = 0; i < edges; i++)
		if (find_slot(w.edges[i], &p) && place_address(p) == w.first)
			return true;
	return false;
}

static void look_for_root_in(uintptr_t at, size_t bytes)
{
	unsigned kind = roots_looked_kind();
	struct place p;
	for (unsigned shift = 0; shift < (kind == ROOT_CODE ? 8u : 1u); shift++) {
		if (!leads_to_first(edges_of_copy(bytes, shift)) && !on_stack(kind))
			continue;
		for (size_t i = shift; i + 8 <= bytes; i += 8) {
			uintptr_t word = *(word_t *)(w.copy + i), in = (uintptr_t)w.copy + i;
			if (leads_to_first(mark_edges_of(in, in + 8, SIZE_MAX, w.edges))
			    || (on_stack(kind) && boundary_of(word, &p) && place_address(p) == w.first))
				name_root(at + i, word);
		}
	}
}
static void look_for_root(uintptr_t low, uintptr_t high) { each_part(low, high, look_for_root_in); }

/* ---- in the stop ---- */

static bool room_for(uint64_t blocks)
{
	size_t bytes = align_up(blocks * 8, OS_PAGE), half = align_up(blocks * 4, OS_PAGE), edges = align_up(MARK_PIECE_EDGES * 8, OS_PAGE);
	w.room = (uint32_t)blocks;
	w.block = os_map(bytes + half + edges + MARK_PIECE);
	if (!w.block)
		return false;
	w.parent = (uint32_t *)((uintptr_t)w.block + bytes);
	w.edges = (uintptr_t *)((uintptr_t)w.parent + half);
	w.copy = (uint8_t *)((uintptr_t)w.edges + edges);
	return true;
}

static void drop_room(void)
{
	os_unmap(w.block, (size_t)(w.copy + MARK_PIECE - (uint8_t *)w.block));
	w.block = NULL;
}

static void tell_kind(struct why_answer *a)
{
	struct place p;
	a->kind = (int)gather_watched.kind;
	a->rule = (int)gather_watched.rule;
	a->owner = gather_watched.owner.s ? hop_of(place_address(gather_watched.owner)) : (struct why_hop){ 0 };
	a->self = hop_of(a->block);
	if (find_slot(a->block, &p) && cached(p))
		a->what = WHY_CACHED;
}

static void in_stop(void *answer)
{
	struct mark_totals t;
	struct block_info info;
	struct why_answer *a = answer;
	a->what = WHY_FREE;
	if (heap_find(a->block, &info) != FOUND_BLOCK) /* freed since it was asked for */
		return;
	a->what = gather_watched.seen ? WHY_BLOCK : WHY_FREE;
	tell_kind(a);
	if (a->what != WHY_BLOCK || (a->kind != KIND_REACHABLE && a->kind != KIND_POSSIBLE))
		return;
	mark_totals(&t);
	w = (typeof(w)){ .a = a, .found = NONE, .rank = UINT32_MAX };
	if (t.blocks >= NONE || !room_for(t.blocks + 1)) {
		a->no_memory = true;
		return;
	}
	int kept = roots_exclude_for_now((uintptr_t)w.block, (uintptr_t)(w.copy + MARK_PIECE));
	search();
	if (w.found != NONE) {
		read_way();
		roots_look(look_for_root);
	}
	roots_include(kept);
	drop_room();
}

/* The address stands in this function's frame: it and all below is the question. */
bool report_why(uintptr_t address, void (*write)(void *arg, const char *line), void *arg)
{
	struct block_info info;
	struct report r;
	uintptr_t here = (uintptr_t)__builtin_dwarf_cfa(), below = threads_signal_frame(here);
	size_t bytes = align_up(sizeof(struct why_answer), OS_PAGE);
	struct why_answer *a = os_map(bytes);
	if (!a) {
		write(arg, "no memory for an answer");
		return false;
	}
	int kept = roots_exclude_for_now((uintptr_t)a, (uintptr_t)a + bytes);
	enum found found = heap_find(address, &info);
	a->address = address;
	a->what = found == FOUND_FREE ? WHY_FREE : WHY_NOTHING;
	a->block = found == FOUND_NOTHING ? 0 : info.start;
	bool held = false;
	if (found == FOUND_BLOCK)
		find_take(&r, 0, below ? below : here, ~a->block, in_stop, a);
	if (found == FOUND_BLOCK && !r.complete)
		write(arg, r.reason);
	else
		held = why_say(a, write, arg);
	if (found == FOUND_BLOCK)
		report_drop(&r);
	roots_include(kept);
	os_unmap(a, bytes);
	return held;
}
