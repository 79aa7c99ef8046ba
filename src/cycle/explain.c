/*
 * explain=1: what the collector has to do with a fault of the program.
 *
 * The verdict notes each block that it condemns or recycles in a table by start address: in which cycle, and who had allocated it
 * if sites are recorded. The table is direct-mapped: a later block may take an earlier one's place, and then the line
 * says less. When the program faults, the address and each register are looked up, in the heap for what they lead to now, in the
 * table for what it was before: a block that was recycled is most often somebody else's by the time its old owner stumbles.
 *
 * What tells most wins: recycled, condemned, free, the pattern of freed memory; the address before the registers.
 *
 * A register proves little. malloc leaves the next free slot in one, and a block that was recycled and handed out again is most often the
 * new owner's. Such a block counts only where the fault follows from it: the address lies near the register's, or near a word
 * that stands in the block. A null pointer stands in most blocks and says nothing. Where the processor does not tell the address (it was
 * none that exists: the general protection fault), the word must stand in a register too, and so must the pattern of freed memory.
 *
 * One thread writes (under the collect lock), handlers read at any time: an entry's address is 0 while the rest changes, and is
 * read again after it.
 */
#include "cycle/explain.h"
#include "heap/harden.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "roots/roots.h"
#include "threads/threads.h"
#include "base/stats.h"
#include "base/text.h"
#include "os/os.h"

enum { ENTRIES = 1 << 16, PAGES_DOWN = 64, NEAR_BELOW = 4096, NEAR_ABOVE = 65536, WORDS_READ = 64 };

struct entry {
	uintptr_t start;  /* atomic; released after the rest */
	uint64_t cycle;
	uint32_t site;
	uint32_t event;   /* enum explain_event */
};
static struct entry *entries; /* set before the first cycle; never a root */

bool explain_start(void)
{
	size_t size = align_up(ENTRIES * sizeof *entries, OS_PAGE);
	entries = os_map(size);
	if (!entries)
		return false;
	roots_exclude((uintptr_t)entries, (uintptr_t)entries + size);
	return true;
}

static struct entry *place(uintptr_t start) { return &entries[(start >> 4) * 0x9E3779B97F4A7C15u >> 48]; }

struct explain_block explain_block(const struct dead_span *d, uint32_t slot)
{
	if (LIKELY(!entries))
		return (struct explain_block){ 0, 0 };
	return (struct explain_block){ span_address(d->span, slot), sites_of(d->span, slot) };
}

void explain_note(struct explain_block b, enum explain_event event)
{
	if (LIKELY(!b.start))
		return;
	struct entry *e = place(b.start);
	store_relaxed(&e->start, 0);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store_relaxed(&e->cycle, stats.cycles + 1);
	store_relaxed(&e->site, b.site);
	store_relaxed(&e->event, (uint32_t)event);
	store_release(&e->start, b.start);
}

static bool noted(uintptr_t start, struct entry *out)
{
	if (!entries)
		return false;
	const struct entry *e = place(start);
	*out = (struct entry){ load_acquire(&e->start), load_relaxed(&e->cycle), load_relaxed(&e->site), load_relaxed(&e->event) };
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return out->start == start && load_relaxed(&e->start) == start;
}

/* ---- one word ---- */

enum rank { RANK_NOTHING, RANK_PATTERN, RANK_FREE, RANK_CONDEMNED, RANK_RECYCLED };

struct finding {
	enum rank rank;
	bool again;         /* recycled, and in use or freed again since */
	bool known;         /* `entry` tells of it */
	struct entry entry;
	uintptr_t start;    /* of the block; 0: its pages are free */
	size_t size;
};

/* Large blocks and whole spans are gone from the page map; a large block's start is the start of a page some way below. */
static bool noted_below(uintptr_t w, struct entry *e)
{
	uintptr_t page = align_down(w - arena.base, PAGE) + arena.base;
	for (int i = 0; i < PAGES_DOWN && page >= arena.base; i++, page -= PAGE)
		if (noted(page, e))
			return true;
	return false;
}

/* An alloc list holds it? The block may be protected by the program. */
static bool cached(const struct block_info *b)
{
	uintptr_t key = 0;
	return b->span->kind == SPAN_SMALL && os_read_self(&key, b->start + sizeof key, sizeof key) == (long)sizeof key
	       && slot_is_cached(key, &b->span->state[b->slot]);
}

static struct finding look_up(uintptr_t w)
{
	struct finding f = { .rank = RANK_NOTHING };
	struct block_info b;
	if (w == (uintptr_t)HARDEN_WORD)
		f.rank = RANK_PATTERN;
	if (!arena_contains(w) || arena_span(w)->index == SPAN_HOLE)
		return f;
	enum found found = heap_find(w, &b);
	if (found == FOUND_NOTHING) {
		f.known = noted_below(w, &f.entry);
		f.rank = f.known && f.entry.event == EXPLAIN_RECYCLED ? RANK_RECYCLED : RANK_FREE;
		return f;
	}
	f.start = b.start;
	f.size = b.size;
	f.known = noted(b.start, &f.entry);
	bool was_recycled = f.known && f.entry.event == EXPLAIN_RECYCLED;
	if (b.state == STATE_RECYCLED || b.state == STATE_FILLING || was_recycled)
		f.rank = RANK_RECYCLED;
	else if (state_is_condemned(b.state))
		f.rank = RANK_CONDEMNED;
	else if (b.state == STATE_FREE || cached(&b))
		f.rank = RANK_FREE;
	f.again = f.rank == RANK_RECYCLED && b.state != STATE_RECYCLED && b.state != STATE_FILLING;
	return f;
}

/* ---- the line ---- */

static size_t write_history(char *line, size_t cap, const struct finding *f)
{
	static const char *const what[] = { "", "", "is free", "was condemned", "was recycled" };
	const char *module;
	uintptr_t offset, address = f->known ? sites_address(f->entry.site) : 0;
	size_t n = text_format(line, cap, "%s", what[f->rank]);
	if (f->known && f->rank >= RANK_CONDEMNED)
		n += text_format(line + n, cap - n, " in cycle %lu of %lu", f->entry.cycle, stats.cycles);
	if (f->again)
		n += text_format(line + n, cap - n, "%s", " and handed out again since");
	if (address && roots_module_of(address - 1, &module, &offset))
		n += text_format(line + n, cap - n, ", allocated at %s+0x%lx", module, offset);
	return n;
}

static void write_line(const char *signal_name, uintptr_t address, const char *where, uintptr_t word, const struct finding *f)
{
	char line[512];
	size_t n;
	if (f->rank == RANK_PATTERN) {
		say("%s at %p: %s holds the pattern of freed memory: the program used a block after its free, or hid a pointer to it: "
		    "mode=audit tells more", signal_name, (void *)address, where);
		return;
	}
	if (f->start)
		n = text_format(line, sizeof line, "%s (%p) leads into a block of %zu bytes at %p, which ", where, (void *)word, f->size, (void *)f->start);
	else
		n = text_format(line, sizeof line, "%s (%p) leads into pages without a block, whose memory ", where, (void *)word);
	write_history(line + n, sizeof line - n, f);
	say("%s at %p: %s: %s", signal_name, (void *)address, line,
	    f->rank == RANK_FREE ? "the program used it after its free: this is not the collector's doing"
	                         : "the program may hide a pointer to it: mode=audit tells more");
}

/* ---- what a register proves ---- */

struct fault {
	uintptr_t address;
	bool known;          /* else the processor did not tell it */
	const void *context;
};

static bool near(uintptr_t word, uintptr_t address)
{
	return word >= NEAR_ABOVE && address - word + NEAR_BELOW < NEAR_ABOVE + NEAR_BELOW;
}

static bool no_address(uintptr_t w)
{
	const intptr_t high = (intptr_t)w >> 47;
	return high != 0 && high != -1;
}

static bool in_register(const struct fault *at, uintptr_t word)
{
	uintptr_t w;
	for (unsigned i = 0; threads_register(at->context, i, &w); i++)
		if (w == word)
			return true;
	return false;
}

static bool follows_from_word(const struct fault *at, uintptr_t word)
{
	return at->known ? near(word, at->address) : no_address(word) && in_register(at, word);
}

/* Could the fault come of a register that leads into this block? */
static bool follows(const struct fault *at, uintptr_t w, const struct finding *f)
{
	if (at->known && near(w, at->address))
		return true;
	uintptr_t words[WORDS_READ], from = f->start ? f->start : align_down(w, sizeof(uintptr_t));
	long got = os_read_self(words, from, f->start && f->size < sizeof words ? f->size : sizeof words);
	for (long i = 0; (i + 1) * (long)sizeof *words <= got; i++)
		if (follows_from_word(at, words[i]))
			return true;
	return false;
}

static bool proves(const struct fault *at, uintptr_t w, const struct finding *f)
{
	if (f->rank == RANK_PATTERN)
		return !at->known;
	return (f->rank != RANK_FREE && !f->again) || follows(at, w, f);
}

void explain_fault(const char *signal_name, uintptr_t address, bool known, const void *context)
{
	const struct fault at = { address, known, context };
	struct finding best = { .rank = RANK_NOTHING };
	const char *where = "the address", *name;
	uintptr_t word = address, w;
	if (known)
		best = look_up(address);
	for (unsigned i = 0; (name = threads_register(context, i, &w)); i++) {
		struct finding f = look_up(w);
		if (f.rank > best.rank && proves(&at, w, &f)) {
			best = f;
			where = name;
			word = w;
		}
	}
	if (best.rank == RANK_NOTHING)
		say("%s at %p: neither the address nor a register leads to a recycled, condemned or free block that explains it: the"
		    " collector seems to have no part in it", signal_name, (void *)address);
	else
		write_line(signal_name, address, where, word, &best);
}
