/* Live bytes of sites over time. Inside src/report only; with names_lock but for growth_tick. */
#ifndef CGC_REPORT_GROWTH_H
#define CGC_REPORT_GROWTH_H

#include "base/bits.h"

enum { GROWTH_POINTS = 16 };

struct growth_point {
	uint64_t at_ns;   /* CLOCK_REALTIME */
	uint64_t blocks, bytes;
};

/* A sample of a site at a time later than all before. Keeps GROWTH_POINTS a site: when they are full every other old one is dropped. */
void growth_note(uint32_t node, const struct growth_point *p);
/* Points of a site that grew since its first sample, oldest first; 0: it did not grow, or is not known. */
unsigned growth_points(uint32_t node, struct growth_point points[GROWTH_POINTS]);
/* Bytes a second since the first sample; 0: the same. */
int64_t growth_rate(uint32_t node);
struct growth_looks { uint64_t count, first_ns, last_ns; }; /* CLOCK_REALTIME */
struct growth_looks growth_looks(void); /* report_tick's */
void growth_forked(void); /* what the parent saw is not ours */

#endif
