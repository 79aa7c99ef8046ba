/* Which lost blocks are direct leaks, which hang off others. Inside src/report only. */
#ifndef CGC_REPORT_FIND_H
#define CGC_REPORT_FIND_H

#include "mark/mark.h"

struct leak {
	uint32_t site;
	uint64_t blocks, bytes;               /* all of the site */
	uint64_t direct_blocks, direct_bytes; /* those that no other lost block points to, one of each cycle */
};

/* Sums up the dead set by site: leaks[site], zeroed, with room for sites_count() + 1. false: no memory. Reads lost blocks, which nobody else
 * uses any more. */
bool find_leaks(const struct dead_set *set, struct leak *leaks);

#endif
