/*
 * Inner pointers: blocks to whose start nothing points.
 *
 * A program that loses the last pointer to a block often keeps a stale one into its middle, so such blocks are `possible` leaks, as memcheck
 * calls them. But some places in the middle of a block are what programs keep as a rule, and a pointer to them is as good as one to the
 * start (memcheck knows the same four by --leak-check-heuristics; LeakSanitizer takes any inner pointer):
 *
 *   a count in front     new T[n] with destructors, glibc's dtv, Rust's Rc and Arc: the number of elements, or of references, then the data
 *   a size in front      allocators that keep the block's size before what they hand out
 *   a string's head      libstdc++'s old std::string: length, capacity and references, then the text
 *   a second base        what is pointed to begins with a pointer to a table of functions: a C++ base class or member, or its like in C
 *
 * A pointer on a live stack or in a register counts as it is: a loop walks through its array by such a one (mark/aside.c). One past the end of a
 * block is inside its slot (heap/classes.c) and inner.
 *
 * Stale words: those of the reporting thread's stack below the function that asked for the report, where frames of cgc lie now and
 * old ones of the program show through.
 */
#include "report/find.h"
#include "mark/mark.h"
#include "roots/roots.h"
#include "base/fault.h"
#include "os/os.h"

enum { TABLES = 256 };

/* Words that were looked at as tables of functions: the same few are asked for again and again. */
static LARGE struct {
	uintptr_t word;
	bool is;
} tables[TABLES];

static bool in_module(uintptr_t address)
{
	const char *name;
	uintptr_t offset;
	return roots_module_of(address, &name, &offset);
}

static bool function_table(uintptr_t w)
{
	uintptr_t first = 0;
	if (w % 8 || w < OS_PAGE || w >> 47 || arena_contains(w))
		return false;
	unsigned i = (unsigned)(w * 0x9E3779B97F4A7C15ull >> 56);
	if (tables[i].word != w) {
		bool is = in_module(w) && os_read_self(&first, w, sizeof first) == (long)sizeof first && in_module(first);
		tables[i].word = w;
		tables[i].is = is;
	}
	return tables[i].is;
}

/* n elements behind a head of `head` bytes fill some block of between least and most bytes. glibc's dtv has one more. */
static bool counts(uint64_t n, uint64_t head, uint64_t least, uint64_t most)
{
	return n && head < most && n <= most - head && (most - head) % n <= most - least + head;
}

static bool in_front(uintptr_t offset, const uintptr_t *head, uint64_t least, uint64_t most)
{
	for (unsigned i = 0; i < offset / 8; i++)
		if (counts(head[i], offset, least, most) || (head[i] >= least - offset && head[i] <= most - offset))
			return true;
	return false;
}

static bool string_head(const uintptr_t *head, uint64_t least, uint64_t most)
{
	uint64_t length = head[0], capacity = head[1], bytes = 24 + capacity + 1;
	return length <= capacity && capacity < most && bytes >= least && bytes <= most;
}

bool kinds_as_good(uintptr_t w, const struct span *s, uint32_t slot)
{
	uintptr_t block = span_address(s, slot), offset = w - block, head[2] = { 0, 0 }, at = 0;
	uint64_t least, most;
	if (fault(FAULT_inner_as_start))
		return true;
	if (w % 8 || s->block - offset < 8)
		return false;
	block_sizes(s, slot, &least, &most);
	if (offset == 8 || offset == 16 || offset == 24) {
		if (!mark_read(block, 2, head))
			return true; /* when in doubt, no leak */
		if (offset == 24 ? string_head(head, least, most) : in_front(offset, head, least, most))
			return true;
	}
	return mark_read(w, 1, &at) && function_table(at);
}

/* ---- what is possible ---- */

static enum snapshot_rule rule;
static struct place owner;

static void direct(uintptr_t w)
{
	struct place p;
	bool question = rule == RULE_STALE_STACK_ONLY && find_slot(w, &p) && find_watched(p);
	if (!question && find_possible(w, &p) && find_put(SET_MET, p)) {
		find_put(SET_SEEN, p);
		gather_block(p, KIND_POSSIBLE, rule, (struct place){ 0 });
	}
}

static bool enter(struct place p)
{
	if (!find_put(SET_SEEN, p))
		return false;
	gather_block(p, KIND_POSSIBLE, RULE_POSSIBLE_OWNER, owner);
	return true;
}
static bool entered(struct place p) { return place_possible(p) && find_has(SET_SEEN, p); }

static bool is_direct(struct place p) { return place_possible(p) && find_has(SET_MET, p); }
static void follow(struct place p)
{
	static const struct walk hanging = { find_possible, enter, entered, NOT_FIRM };
	owner = p;
	find_walk(&hanging, p);
}

/* Held by what only the marker can read: an offset, a tagged word of the stale stack. */
static bool left(struct place p) { return place_possible(p) && !find_has(SET_SEEN, p); }
static void unowned(struct place p)
{
	find_put(SET_SEEN, p);
	gather_block(p, KIND_POSSIBLE, RULE_POSSIBLE_OWNER, (struct place){ 0 });
}

void kinds_possible(void)
{
	size_t count;
	const uintptr_t *aside = mark_aside(&count);
	rule = RULE_INTERIOR_ONLY;
	for (size_t i = 0; i < count; i++)
		direct(aside[i]);
	rule = RULE_STALE_STACK_ONLY;
	roots_weak_each(direct);
	find_each(NOT_FIRM, is_direct, follow);
	find_each(NOT_FIRM, left, unowned);
}
