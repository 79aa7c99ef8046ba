/* A hash table with chains that is held; then its array is replaced by a larger one, and two chains are forgotten on the way. */
// expect: definite 2 blocks 80 bytes entry
// expect: indirect 6 blocks 240 bytes entry
#include "leak.h"

enum { OLD = 64, NEW = 128, ENTRIES = 256 };
struct entry { struct entry *next; uint64_t key, value[3]; };
HELD struct entry **table;

static SITE struct entry *entry(void) { return made(calloc(1, sizeof(struct entry))); }
static SITE struct entry **array(size_t n) { return made(calloc(n, sizeof(struct entry *))); }

static SITE void fill(void)
{
	table = array(OLD);
	for (uint64_t i = 0; i < ENTRIES; i++) {
		struct entry *e = entry();
		e->key = i;
		e->next = table[i % OLD];
		table[i % OLD] = e;
	}
}

static SITE void grow(void)
{
	struct entry **bigger = array(NEW);
	for (int i = 2; i < OLD; i++) /* should begin at 0 */
		for (struct entry *e = table[i], *next; e; e = next) {
			next = e->next;
			e->next = bigger[e->key % NEW];
			bigger[e->key % NEW] = e;
		}
	free(table);
	table = bigger;
}

int main(void)
{
	fill();
	grow();
	kit_scrub();
	return 0;
}
