/*
 * A page of a block that the program closed to itself behind the collector's back: a guard that no list of mappings shows, as a key of the processor's is none.
 * The load that finds it faults; the program must not see it, and what the rest of the block holds stays.
 */
#include <signal.h>
#include <sys/mman.h>

#include "zoo.h"

enum { PAGE = 4096, PAGES = 16, GUARD_INSTALL = 102 };
static volatile sig_atomic_t seen;

static void on_fault(int number) { seen++; }

/* With an argument no cycle comes before the end. */
int main(int argc, char **argv)
{
	zoo_needs_collector();
	signal(SIGSEGV, on_fault);
	static char *block; /* to the end: a report at exit reads it, too */
	block = aligned_alloc(PAGE, PAGES * PAGE);
	memset(block, 1, PAGES * PAGE);
	*(void **)(block + 2 * PAGE) = zoo_block();
	*(void **)(block + 9 * PAGE) = zoo_block();
	if (madvise(block + 5 * PAGE, PAGE, GUARD_INSTALL) != 0)
		return ZOO_NO_PLACE;
	if (argc > 1)
		return 0;
	zoo_collect(ZOO_SIZE);
	if (seen)
		return 2;
	return zoo_verdict(*(void **)(block + 2 * PAGE)) | zoo_verdict(*(void **)(block + 9 * PAGE));
}
