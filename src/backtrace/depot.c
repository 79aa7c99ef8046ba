/*
 * The trie, kept as a hash trie: (parent, pc) is hashed, the top bits choose one of BUCKETS, each following pair of bits one of four
 * children of the node met there, until a node is the one that is looked for or a link is 0.
 *
 *   bucket[h >> 50] ─▶ node ──h bits 49,48──▶ node ──h bits 47,46──▶ 0: here the new one goes
 *
 * So it grows without ever moving a node or a link, and one CAS on a link that is 0 inserts: of two threads with the same frame one
 * loses, sees the other's node where its own would have gone, and takes that. A link is written once. Past the last bits of the hash
 * the path goes on by the first child, so that even equal hashes find room.
 *
 * Nodes lie in chunks of 2 MiB that are mapped when their first number is given out; of a chunk only the pages that hold nodes become
 * resident. A number whose inserter lost the race, or was a thread that fork left behind, is nobody's: its pc is 0.
 */
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "os/os.h"

enum {
	BUCKET_BITS = 14,
	BUCKETS = 1 << BUCKET_BITS,
	CHUNK_BITS = 16,
	CHUNK = 1 << CHUNK_BITS,
	CHUNKS = 1024          /* 64 M nodes: 2 GiB */
};

struct entry {
	struct depot_node node;
	uint32_t child[4];     /* atomic: the node's place in the hash trie has nothing to do with its place in a stack */
};

static uint32_t *buckets;              /* atomic links */
static LARGE struct entry *chunks[CHUNKS];   /* atomic: released after mapping */
static uint32_t given;                 /* atomic: numbers given out, also such as found no chunk */

static struct entry *entry_at(uint32_t node) { return &load_acquire(&chunks[node >> CHUNK_BITS])[node & (CHUNK - 1)]; }

static struct entry *chunk_map(uint32_t i)
{
	struct entry *seen = load_acquire(&chunks[i]);
	if (seen)
		return seen;
	struct entry *fresh = os_map(CHUNK * sizeof *fresh);
	if (fresh && !cas(&chunks[i], &seen, fresh)) {
		os_unmap(fresh, CHUNK * sizeof *fresh);
		fresh = seen;
	}
	return fresh;
}

bool depot_start(void)
{
	uint32_t *fresh = load_acquire(&buckets) ? NULL : os_map(BUCKETS * sizeof *fresh), *none = NULL;
	if (fresh && !cas(&buckets, &none, fresh))
		os_unmap(fresh, BUCKETS * sizeof *fresh);
	return load_acquire(&buckets) && chunk_map(0);
}

/* A number for a new node. 0: no memory, or too many. */
static uint32_t number(void)
{
	for (uint32_t n = load_relaxed(&given); n + 1 < CHUNKS * (uint32_t)CHUNK;) {
		if (!chunk_map((n + 1) >> CHUNK_BITS))
			return 0;
		if (cas(&given, &n, n + 1))
			return n + 1;
	}
	return 0;
}

uint32_t depot_child(uint32_t parent, uintptr_t pc)
{
	uint64_t hash = (pc ^ (uint64_t)parent << 40 ^ parent) * 0x9E3779B97F4A7C15ull;
	hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93ull;
	uint32_t *link = load_acquire(&buckets), fresh = 0;
	if (UNLIKELY(!link || !pc))
		return 0;
	link += hash >> (64 - BUCKET_BITS);
	for (hash <<= BUCKET_BITS;; hash <<= 2) {
		uint32_t at = load_acquire(link);
		if (!at) {
			if (!fresh) {
				fresh = number();
				if (!fresh)
					return 0;
				entry_at(fresh)->node = (struct depot_node){ pc, parent, modules_find(pc - 1) };
			}
			if (cas(link, &at, fresh)) /* release: the node is whole before it can be found */
				return fresh;
		}
		struct entry *e = entry_at(at);
		if (e->node.pc == pc && e->node.parent == parent) {
			if (UNLIKELY(fresh))
				store_relaxed(&entry_at(fresh)->node.pc, 0);
			return at;
		}
		link = &e->child[hash >> 62];
	}
}

uint32_t depot_count(void) { return load_acquire(&given); }
const struct depot_node *depot_get(uint32_t node) { return &entry_at(node)->node; }

size_t depot_stack(uint32_t node, uintptr_t *pcs, size_t most)
{
	size_t n = 0;
	for (; node && node <= depot_count() && n < most; node = depot_get(node)->parent)
		pcs[n++] = depot_get(node)->pc;
	return n;
}

void depot_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	uintptr_t p = (uintptr_t)load_acquire(&buckets);
	if (p)
		fn(p, p + BUCKETS * sizeof *buckets);
	for (uint32_t i = 0; i < CHUNKS && (p = (uintptr_t)load_acquire(&chunks[i])); i++)
		fn(p, p + CHUNK * sizeof(struct entry));
}
