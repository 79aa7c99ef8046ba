/*
 * The trie, and how children of a node are kept: the first one by a link of its parent, each further one by a link of a sibling. The hash
 * of pc is read as digits to the base three, one a sibling on the way:
 *
 *   parent ─child─▶ a ─digit 0─▶ b ─digit 2─▶ c ─digit 1─▶ 0: here the new one goes
 *
 * So it grows without ever moving a node or a link, and one CAS on a link that is 0 inserts: of two threads with the same frame one
 * loses, sees the other's node where its own would have gone, and takes that. A link is written once. Where hashes are equal in all
 * digits the way still goes on, so they find room too.
 *
 * Nodes lie in chunks of 2 MiB that are mapped when their first number is given out; of a chunk only the pages that hold nodes become
 * resident. A number whose inserter lost the race, or was a thread that fork left behind, is nobody's: its pc is 0. Number 0 is the root,
 * whose children are outermost frames.
 */
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "os/os.h"

LARGE struct depot_node *depot_chunks[DEPOT_CHUNKS];
static uint32_t given;                 /* atomic: numbers given out, also such as found no chunk */

static struct depot_node *node_at(uint32_t node) { return &load_acquire(&depot_chunks[node >> DEPOT_CHUNK_BITS])[node & (DEPOT_CHUNK - 1)]; }

static struct depot_node *chunk_map(uint32_t i)
{
	struct depot_node *seen = load_acquire(&depot_chunks[i]);
	if (seen)
		return seen;
	struct depot_node *fresh = os_map(DEPOT_CHUNK * sizeof *fresh);
	if (fresh && !cas(&depot_chunks[i], &seen, fresh)) {
		os_unmap(fresh, DEPOT_CHUNK * sizeof *fresh);
		fresh = seen;
	}
	return fresh;
}

bool depot_start(void) { return chunk_map(0) != NULL; }

/* A number for a new node. 0: no memory, or too many. */
static uint32_t number(void)
{
	for (uint32_t n = load_relaxed(&given); n + 1 < DEPOT_CHUNKS * (uint32_t)DEPOT_CHUNK;) {
		if (!chunk_map((n + 1) >> DEPOT_CHUNK_BITS))
			return 0;
		if (cas(&given, &n, n + 1))
			return n + 1;
	}
	return 0;
}

uint32_t depot_child(uint32_t parent, uintptr_t pc)
{
	if (UNLIKELY(!depot_started() || !pc))
		return 0;
	uint32_t *link = &node_at(parent)->child, fresh = 0;
	uint32_t digits = depot_digits(pc);
	for (;;) {
		uint32_t at = load_acquire(link);
		if (!at) {
			if (!fresh) {
				fresh = parent && depot_is_full() ? 0 : number();
				if (!fresh)
					return 0;
				*node_at(fresh) = (struct depot_node){ .pc = pc, .parent = parent, .module = modules_find(pc - 1) };
			}
			if (cas(link, &at, fresh)) /* release: the node is whole before it can be found */
				return fresh;
		}
		struct depot_node *n = node_at(at);
		if (n->pc == pc) {
			if (UNLIKELY(fresh))
				store_relaxed(&node_at(fresh)->pc, 0);
			return at;
		}
		link = &n->sibling[depot_digit(&digits)];
	}
}

uint32_t depot_most = 8 << 20;
bool depot_is_full(void) { return depot_count() >= depot_most; }

uint32_t depot_count(void) { return load_acquire(&given); }

size_t depot_stack(uint32_t node, uintptr_t *pcs, size_t most)
{
	size_t n = 0;
	for (; node && node <= depot_count() && n < most; node = depot_get(node)->parent)
		pcs[n++] = depot_pc(node);
	return n;
}

/* An inserter that runs meanwhile, by the old listing, may add a node of that module behind us: it keeps the old name, and so does what
 * the new module calls from that very place. */
void depot_bury(uint32_t module, bool buried)
{
	for (uint32_t node = 1, count = depot_started() ? depot_count() : 0; node <= count; node++) {
		struct depot_node *n = node_at(node);
		if (n->module == module && load_relaxed(&n->pc))
			store_relaxed(&n->pc, buried ? n->pc | DEPOT_BURIED : n->pc & ~DEPOT_BURIED);
	}
}

void depot_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	uintptr_t p;
	for (uint32_t i = 0; i < DEPOT_CHUNKS && (p = (uintptr_t)load_acquire(&depot_chunks[i])); i++)
		fn(p, p + DEPOT_CHUNK * sizeof(struct depot_node));
}
