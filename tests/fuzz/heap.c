/*
 * The heap against a model of it: a sequence of malloc, calloc, aligned, realloc, free, thread ends and the steps of cycles, drawn from
 * the input, by three threads' caches that take turns (one real thread: every run of an input does the same).
 *
 * The model knows each block's place, size and contents, and which blocks the "program" can still reach: those it holds, and
 * those that a reachable block's first word leads to. The held ones are the collector's only roots. What must hold:
 *
 *   - a new block overlaps none that is reachable, and none that was lost in fewer than grace + 1 completed marks
 *   - contents stay until the program changes them; calloc's are zero; sizes and alignment are as asked
 *   - a second or interior free is called misuse, or evidence where blocks were recycled; correct calls are never either
 *   - free of a condemned or recycled block is evidence
 *   - in the end, all freed, lost ones recycled, threads gone: not one byte counts as live, so no slot was lost
 *
 * Between the mark and its verdict the program goes on, as it does behind the resume.
 */
#include "base/options.h"
#include "cycle/verdict.h"
#include "heap/cache.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "mark/mark.h"
#include "fuzz.h"

enum { BLOCKS = 100, THREADS = 3, WHOLE = 64 << 10 };

static struct block {
	uint8_t *p;         /* NULL: unused entry */
	size_t size;
	uint8_t seed;
	uintptr_t word;     /* what the first word holds (blocks of 16 bytes and more) */
	int link;           /* entry of the block that `word` leads to, or -1 */
	bool held, reached;
	unsigned dead;      /* completed marks that could not reach it */
} blocks[BLOCKS];

static struct cache *caches[THREADS];
static struct dead_set dead;
static bool verdict_due;
static unsigned misuses, evidences;

static void on_misuse(const char *what, const char *call, const void *p, size_t size) { (void)what, (void)call, (void)p, (void)size; misuses++; }
static void on_evidence(const void *p, uint8_t state, const char *call) { (void)p, (void)state, (void)call; evidences++; }

/* -- contents -- */

/* Bytes of 0x80 and more: no 8 of them lead into the arena, whatever stands before or behind. Blocks above WHOLE are written
 * here and there only. */
static uint8_t pattern[WHOLE + 256];
static const uint8_t *pattern_of(const struct block *b) { return pattern + b->seed; }
static size_t whole_part(size_t n) { return n < WHOLE ? n : WHOLE; }
static bool has_word(const struct block *b) { return b->size >= 16; }

static void write_contents(struct block *b, uint8_t seed, size_t usable)
{
	b->seed = seed;
	b->link = -1;
	memcpy(b->p, pattern_of(b), whole_part(usable));
	for (size_t i = WHOLE; i < usable; i += 4096)
		b->p[i] = pattern_of(b)[i % WHOLE];
	if (has_word(b))
		memcpy(&b->word, b->p, sizeof b->word);
}

/* The first n bytes are as they were written. */
static void check_contents(const struct block *b, size_t n)
{
	size_t from = has_word(b) ? 8 : 0;
	claim(!from || n < 8 || !memcmp(b->p, &b->word, 8), "block %p: its first word changed", (void *)b->p);
	claim(n <= from || !memcmp(b->p + from, pattern_of(b) + from, whole_part(n) - from), "block %p of %zu bytes changed", (void *)b->p, b->size);
	for (size_t i = WHOLE; i < n; i += 4096)
		claim(b->p[i] == pattern_of(b)[i % WHOLE], "block %p: byte %zu of %zu changed", (void *)b->p, i, b->size);
}

/* -- the model -- */

static void reach(struct block *b)
{
	while (!b->reached) {
		b->reached = true;
		if (b->link < 0)
			return;
		b = &blocks[b->link];
	}
}
static void find_reachable(void)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i].reached = !blocks[i].p;
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].p && blocks[i].held)
			reach(&blocks[i]);
}

static void forget(struct block *b)
{
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].p && blocks[i].link == b - blocks)
			blocks[i].link = -1; /* the word stays: a stale pointer may keep more than the model asks */
	b->p = NULL;
	b->held = false;
}

/* A new block at p: nobody may have it. Lost blocks that lay there have been recycled. */
static void check_place(const struct block *newcomer, const uint8_t *p, size_t size)
{
	find_reachable();
	for (int i = 0; i < BLOCKS; i++) {
		struct block *b = &blocks[i];
		if (!b->p || b == newcomer || p + (size ? size : 1) <= b->p || b->p + (b->size ? b->size : 1) <= p)
			continue;
		claim(!b->reached, "new block %p of %zu overlaps the reachable %p of %zu", (const void *)p, size, (void *)b->p, b->size);
		claim(b->dead > options.grace, "new block %p overlaps %p, lost in %u marks only", (const void *)p, (void *)b->p, b->dead);
		forget(b);
	}
}

static void place(struct block *b, uint8_t *p, size_t size, size_t align, uint8_t seed, bool zero)
{
	claim(p, "no memory for %zu bytes", size);
	claim((uintptr_t)p % (align > 16 ? align : 16) == 0, "%p is not aligned to %zu", (void *)p, align);
	size_t usable = heap_usable(p);
	claim(usable >= size, "%zu bytes are usable, %zu were asked for", usable, size);
	check_place(b, p, usable);
	claim(!zero || !size || (!p[0] && !memcmp(p, p + 1, size - 1)), "calloc: %zu bytes are not all zero", size);
	*b = (struct block){ .p = p, .size = size, .held = true };
	write_contents(b, seed, usable);
}

static struct block *unused(void)
{
	for (int i = 0; i < BLOCKS; i++)
		if (!blocks[i].p)
			return &blocks[i];
	return NULL;
}

/* An entry that the program can use; `lost` ones only when asked. */
static struct block *pick(struct input *in, bool lost)
{
	unsigned first = take_byte(in);
	find_reachable();
	for (unsigned i = 0; i < BLOCKS; i++) {
		struct block *b = &blocks[(first + i) % BLOCKS];
		if (b->p && b->reached == !lost)
			return b;
	}
	return NULL;
}

static size_t take_size(struct input *in)
{
	unsigned kind = take_byte(in), n = take_short(in);
	switch (kind % 16) {
	case 0: return 65536 + n * 4;
	case 1: return 131072 + n / 4096 * 4096;
	case 2: return kind == 2 ? (size_t)n * 100 : n; /* up to 6.5 MB: pages move */
	case 3: case 4: case 5: return n;
	case 6: case 7: return n % 4096;
	default: return n % 300;
	}
}

/* -- what the program does -- */

static void allocate(struct input *in)
{
	struct block *b = unused();
	uint8_t how = take_byte(in), seed = take_byte(in);
	size_t size = take_size(in), align = 16;
	uint8_t *p;
	if (!b)
		return;
	if (how < 170) {
		p = heap_malloc_fast(size);
	} else if (how < 220) {
		p = heap_calloc(1 + how % 3, size);
		size *= 1 + how % 3;
	} else {
		align = (size_t)16 << how % 14;
		p = heap_aligned(align, size);
	}
	place(b, p, size, align, seed, how >= 170 && how < 220);
}

static void release(struct block *b)
{
	check_contents(b, b->size);
	heap_free_fast(b->p);
	forget(b);
}

static void reallocate(struct block *b, struct input *in)
{
	uint8_t seed = take_byte(in);
	size_t size = take_size(in), old = b->size, kept = old < size ? old : size;
	if (!size)
		size = 1;
	check_contents(b, old);
	uint8_t *p = heap_realloc(b->p, size);
	claim(p, "no memory for realloc to %zu", size);
	uint8_t *before = b->p;
	b->p = p;
	check_contents(b, kept < size ? kept : size);
	b->p = before;
	forget(b); /* links into it may lead behind its new end, or to its old place */
	place(b, p, size, 16, seed, false);
}

static void wrong_free(struct block *b, bool interior)
{
	unsigned before = misuses + evidences;
	uint8_t *p = b->p;
	if (interior && b->size < 40)
		return;
	if (!interior)
		release(b);
	heap_free_fast(interior ? p + 16 : p);
	claim(misuses + evidences == before + 1, "%s free of %p: %u complaints", interior ? "an interior" : "a second", (void *)p, misuses + evidences - before);
	claim(!interior || evidences == 0 || misuses, "an interior free is no evidence");
	misuses = evidences = 0;
}

/* The program kept a pointer where no collector looks. */
static void hidden_free(struct block *b)
{
	struct block_info info;
	if (heap_find((uintptr_t)b->p, &info) == FOUND_NOTHING || info.start != (uintptr_t)b->p)
		return;
	bool condemned = state_is_condemned(info.state);
	if (!condemned && info.state != STATE_RECYCLED)
		return;
	heap_free_fast(b->p);
	claim(evidences == 1 && !misuses, "free of a %s block: %u times evidence", condemned ? "condemned" : "recycled", evidences);
	evidences = 0;
	if (condemned)
		forget(b);
}

/* -- cycles -- */

static bool any(struct span *s, uint32_t slot) { (void)s, (void)slot; return true; }

static void share_dying(void)
{
	size_t at = 0;
	for (const struct dead_span *d; (d = dead_next(&dead, &at));) {
		uint32_t count = 0;
		for (uint32_t i = 0; i < (d->slots + 63) / 64; i++)
			count += (uint32_t)__builtin_popcountll(d->bits[i]);
		if (count >= d->slots / 2)
			heap_disown(d->span);
	}
}

/* cycle.c's steps 2 to 5. */
static void stop(bool give_up, bool no_roots)
{
	heap_collect_empty();
	claim(heap_each_cached(any), "an alloc list is torn");
	claim(mark_begin() && mark_cached(), "the mark cannot begin");
	for (int i = 0; i < BLOCKS && !no_roots; i++)
		if (blocks[i].p && blocks[i].held)
			mark_word((uintptr_t)blocks[i].p + (blocks[i].size > 1 ? blocks[i].size / 2 : 0));
	mark_drain();
	claim(mark_complete(), "a block is unreadable");
	if (give_up) {
		mark_abandon();
	} else {
		claim(mark_verify() == 0, "a marked block leads to an unmarked one");
		claim(mark_emit(&dead, heap_advance_stamp()), "no memory for the dead set");
		share_dying();
		find_reachable();
		for (int i = 0; i < BLOCKS; i++)
			if (blocks[i].p && (no_roots || !blocks[i].reached))
				blocks[i].dead++;
		verdict_due = true;
	}
	mark_end();
	heap_release_empty();
}

static void verdict(void)
{
	struct verdict v = { 0 };
	verdict_apply(&dead, &v);
	verdict_due = false;
	claim(v.recycled_blocks <= v.dead_blocks && v.condemned_blocks <= v.dead_blocks, "the verdict counts wrong");
}

/* -- a run -- */

static void step(struct input *in)
{
	uint8_t op = take_byte(in);
	unsigned thread = op >> 5 < THREADS ? op >> 5 : op >> 5 < 6 ? 0 : 1;
	struct block *b = NULL, *to;
	self.cache = caches[thread];
	op %= 32;
	if (op >= 12 && op < 28 && op != 26 && !(b = pick(in, op == 25)))
		return;
	if (op < 12) {
		allocate(in);
	} else if (op < 17) {
		release(b);
	} else if (op < 19) {
		reallocate(b, in);
	} else if (op < 21) {
		b->held = false; /* lost, unless a link leads to it */
	} else if (op < 23) {
		if (has_word(b) && (to = pick(in, false))) {
			b->link = (int)(to - blocks);
			b->word = (uintptr_t)to->p + take_byte(in) % (to->size ? to->size : 1);
			memcpy(b->p, &b->word, sizeof b->word);
		}
	} else if (op < 25) {
		wrong_free(b, op == 24);
	} else if (op == 25) {
		hidden_free(b);
	} else if (op == 26) {
		heap_thread_exit();
	} else if (op == 27) {
		check_contents(b, b->size);
	} else if (op == 31) {
		heap_purge(take_byte(in) & 1);
	} else if (verdict_due) {
		verdict();
	} else {
		stop(op == 30, false);
	}
	caches[thread] = self.cache;
	claim(!misuses && !evidences, "a complaint about a correct call");
}

static void end(void)
{
	if (verdict_due)
		verdict();
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].p && blocks[i].held)
			release(&blocks[i]);
	for (unsigned i = 0; i < options.grace + 2; i++) {
		stop(false, true);
		verdict();
	}
	stop(false, true); /* gives back what the last verdict emptied */
	verdict();
	for (int t = 0; t < THREADS; t++) {
		self.cache = caches[t];
		heap_thread_exit();
		caches[t] = self.cache;
	}
	heap_purge(true);
	struct heap_totals t;
	heap_totals(&t);
	claim(t.live == 0, "%zu bytes count as live when nothing is", t.live);
	memset(blocks, 0, sizeof blocks);
	claim(!misuses && !evidences, "a complaint about the end of a correct program");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = { bytes, bytes + n };
	if (!caches[0]) {
		options_defaults(&options);
		heap_hooks.misuse = on_misuse;
		heap_hooks.evidence = on_evidence;
		heap_start();
		for (size_t i = 0; i < sizeof pattern; i++)
			pattern[i] = (uint8_t)(0x80 | i * 7);
		for (int i = 0; i < THREADS; i++)
			caches[i] = self.cache; /* the empty one */
	}
	uint8_t how = take_byte(&in);
	options.grace = how & 1;
	options.stress = how >> 1 & 1; /* recycled blocks are overwritten */
	while (input_left(&in))
		step(&in);
	end();
	return 0;
}
