/*
 * Direct and indirect leaks.
 *
 *   1. Every lost block is scanned; a lost block that another one points to is `referenced`.
 *   2. From each block that is not referenced (a direct leak) everything it reaches is `seen`.
 *   3. What is still unseen stands on a cycle or hangs off one: the first block met is taken as direct for its cycle, and what
 *      it reaches is seen.
 *
 * The dead set's records are found by span index. Two bits a slot stand beside the record's own, in a mapping of their own.
 */
#include "report/find.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "os/os.h"

struct finder {
	const struct dead_set *set;
	const struct dead_span **by_span; /* [span index], NULL: no lost block in it */
	uint64_t *referenced, *seen;      /* laid out as set->bytes; only the places of `bits` are used */
	uint32_t spans;
	struct place *stack;
	size_t top, room;
};

struct place {
	const struct dead_span *d;
	uint32_t slot;
};

static uint64_t *bits_of(const struct finder *f, uint64_t *base, const struct dead_span *d)
{
	return base + ((const uint8_t *)d->bits - f->set->bytes) / 8;
}
static bool bit(const uint64_t *bits, uint32_t i) { return bits[i / 64] >> i % 64 & 1; }
static void set_bit(uint64_t *bits, uint32_t i) { bits[i / 64] |= 1ull << i % 64; }

/* The lost block that holds w. */
static bool lost(const struct finder *f, uintptr_t w, struct place *p)
{
	struct block_info info;
	if (!arena_contains(w) || heap_find(w, &info) == FOUND_NOTHING || info.span->index >= f->spans)
		return false;
	const struct dead_span *d = f->by_span[info.span->index];
	if (!d || info.slot >= d->slots || !bit(d->bits, info.slot))
		return false;
	*p = (struct place){ d, info.slot };
	return true;
}

/* Calls fn for each lost block that block p points to. */
static void each_edge(struct finder *f, struct place p, void (*fn)(struct finder *f, struct place to))
{
	const word_t *w = (const word_t *)(p.d->span->start + p.slot * p.d->block), *end = w + p.d->block / 8;
	for (; w < end; w++) {
		struct place to;
		if (lost(f, *w, &to) && !(to.d == p.d && to.slot == p.slot))
			fn(f, to);
	}
}

static void refer(struct finder *f, struct place to) { set_bit(bits_of(f, f->referenced, to.d), to.slot); }

static void push(struct finder *f, struct place to)
{
	uint64_t *seen = bits_of(f, f->seen, to.d);
	if (bit(seen, to.slot))
		return;
	if (f->top == f->room) {
		size_t size = f->room * sizeof *f->stack;
		struct place *bigger = os_remap(f->stack, size, size * 2);
		if (!bigger) { /* the block stays unseen and is counted as direct later: the report is coarser, nothing is lost */
			return;
		}
		f->stack = bigger;
		f->room *= 2;
	}
	set_bit(seen, to.slot);
	f->stack[f->top++] = to;
}

static void follow(struct finder *f, struct place from)
{
	push(f, from);
	while (f->top)
		each_edge(f, f->stack[--f->top], push);
}

static void each_lost(struct finder *f, void (*fn)(struct finder *f, struct place p, struct leak *leaks), struct leak *leaks)
{
	size_t at = 0;
	for (const struct dead_span *d; (d = dead_next(f->set, &at));)
		for (uint32_t i = 0; i < d->slots; i++)
			if (bit(d->bits, i))
				fn(f, (struct place){ d, i }, leaks);
}

static void note_edges(struct finder *f, struct place p, struct leak *leaks) { each_edge(f, p, refer); }

static void direct(struct finder *f, struct place p, struct leak *leaks)
{
	uint32_t site = sites_of(p.d->span, p.slot);
	leaks[site].direct_blocks++;
	leaks[site].direct_bytes += p.d->block;
	follow(f, p);
}

static void note_direct(struct finder *f, struct place p, struct leak *leaks)
{
	uint32_t site = sites_of(p.d->span, p.slot);
	leaks[site].site = site;
	leaks[site].blocks++;
	leaks[site].bytes += p.d->block;
	if (!bit(bits_of(f, f->referenced, p.d), p.slot))
		direct(f, p, leaks);
}

static void note_cycle(struct finder *f, struct place p, struct leak *leaks)
{
	if (!bit(bits_of(f, f->seen, p.d), p.slot))
		direct(f, p, leaks);
}

bool find_leaks(const struct dead_set *set, struct leak *leaks)
{
	struct finder f = { .set = set, .spans = span_count(), .room = 4096 };
	size_t index_size = align_up(f.spans * sizeof(void *), OS_PAGE), bits_size = align_up(set->size + 8, OS_PAGE);
	f.by_span = os_map(index_size);
	f.referenced = os_map(bits_size);
	f.seen = os_map(bits_size);
	f.stack = os_map(f.room * sizeof *f.stack);
	bool room = f.by_span && f.referenced && f.seen && f.stack;
	if (room) {
		size_t at = 0;
		for (const struct dead_span *d; (d = dead_next(set, &at));)
			f.by_span[d->span->index] = d;
		each_lost(&f, note_edges, leaks);
		each_lost(&f, note_direct, leaks);
		each_lost(&f, note_cycle, leaks);
	}
	if (f.by_span)
		os_unmap(f.by_span, index_size);
	if (f.referenced)
		os_unmap(f.referenced, bits_size);
	if (f.seen)
		os_unmap(f.seen, bits_size);
	if (f.stack)
		os_unmap(f.stack, f.room * sizeof *f.stack);
	return room;
}
