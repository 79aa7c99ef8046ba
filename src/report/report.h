/*
 * The leak report: what cannot be reached any more, by the call stack that allocated it.
 *
 *   find.c      one cycle whose blocks are told apart and summed up by site    report_take
 *   kinds.c     which blocks hang on interior or stale words only             (asked by find.c)
 *   gather.c    the sums and their order                                      report_drop
 *   why.c       the path from a root to a block                               report_why
 *   snapshot.c  the file, or the same bytes into a socket                     report_write
 *   text.c      the report at exit, readable without the command              report_print
 *   suppress.c  which sites are left out                                      (asked by find.c)
 *   growth.c    live bytes of sites over time                                 report_tick
 *   end.c       when a report is made and where it goes                       report_tell, report_at_exit
 */
#ifndef CGC_REPORT_REPORT_H
#define CGC_REPORT_REPORT_H

#include "base/bits.h"
#include "report/snapshot.h"

/* One site of a report. */
struct report_site {
	struct snapshot_site s;     /* s.frame is a depot node here; s.id and s.suppression are filled in by report_take */
	const char *suppression;    /* what matched; NULL: nothing did */
};

/* What one look found. Its arrays lie in mappings of their own (report_drop unmaps them), nothing in them is on the heap. */
struct report {
	bool complete;              /* false: no cycle completed; `reason` says why, kinds are unknown */
	bool cut;                   /* memory ran out: numbers are low, nothing is wrong */
	const char *reason, *hint;
	struct { uint64_t blocks, bytes; } total[KINDS]; /* suppressed sites excluded */
	uint64_t suppressed_blocks, suppressed_bytes;
	uint64_t inherited_blocks, inherited_bytes; /* lost or possible, made by a parent before it forked: in no total and no site */
	struct report_site *sites;  /* largest lost first */
	uint32_t count;
	struct snapshot_block *blocks; /* s.site is an index into sites; NULL unless asked for */
	uint64_t block_count;
	size_t sites_room, blocks_room; /* bytes of the mappings */
	int apart[2];               /* their handles with the roots, which leave them out */
};
enum {
	REPORT_BLOCKS = 1,
	REPORT_REACHABLE = 2, /* reachable blocks one by one too */
	REPORT_SITES = 4,     /* sites without a loss too */
	REPORT_ONE_BY_ONE = REPORT_BLOCKS | REPORT_REACHABLE | REPORT_SITES, /* without any of them: a text of sums, and of what is lost for certain */
	REPORT_OF_CHILD = 8,  /* nobody reads it unless something is lost or possible: then it is left at that */
	REPORT_INHERITED = 16, /* what a parent made, too */
	REPORT_LAST = 32      /* nothing is allocated or recorded any more: what was kept for that makes room for a whole look */
};

/* After options are read: turns on recording of stacks when the mode needs it. */
void report_start(void);
/* Runs a cycle that judges and recycles nothing. Any thread, outside malloc. flags: REPORT_*. The result is always a report. */
void report_take(struct report *r, unsigned flags);
void report_drop(struct report *r);
static inline bool report_has_loss(const struct report *r)
{
	return r->total[KIND_DEFINITE].blocks || r->total[KIND_INDIRECT].blocks || r->total[KIND_POSSIBLE].blocks;
}
/* The calling thread ends the process, and nothing of the program's is in frames below `frame` (__builtin_dwarf_cfa() of the function that the
 * system's libraries called). */
void report_ending(uintptr_t frame);
/* Text to the log. */
void report_print(const struct report *r, const char *why);
/* The snapshot into an open descriptor. `why`: as in the header. 0 or errno. */
int report_write(const struct report *r, int fd, const char *why);

/* The retention path of the block that holds `address`, one line a step, root first, by write(line). false: it is not held (the line says
 * what it is instead). Runs a cycle of its own. */
bool report_why(uintptr_t address, void (*write)(void *arg, const char *line), void *arg);

/* Stable id of a stack. */
uint64_t report_site_id(uint32_t node);

/* Takes a sample of live bytes by site (interval=). */
void report_tick(void);

/* report_take, then text or files as options say. `why` as in the snapshot's header. Result: as report_at_exit. */
uint64_t report_tell(const char *why);
/* In a handler: no report is under way in this thread, nor does one in another thread take longer than a while. */
bool report_ready(void);
uint64_t report_started_ns(void); /* CLOCK_REALTIME of the process' start, or of the fork that made it */

/* At the end of the process: report_take, and report_print or a snapshot file as options say. Result: blocks lost and not suppressed. */
uint64_t report_at_exit(void);
void report_forked(void);

#endif
