/* Counters of the whole process. Written by relaxed adds in slow paths only; read by anyone, each field by itself. */
#ifndef CGC_BASE_STATS_H
#define CGC_BASE_STATS_H

#include "base/bits.h"

/* Why a cycle ended before its verdict (law 8). The names appear in stats, in this order. */
enum abort_reason {
	ABORT_NONE,
	ABORT_THREAD_SILENT,  /* a thread did not answer in time */
	ABORT_TASK_LIST,      /* /proc/self/task missing, foreign or unreadable */
	ABORT_SIGNAL,         /* a signal could not be sent or the handler not installed */
	ABORT_ROOT_UNREADABLE,/* a mapping or the list of mappings could not be read */
	ABORT_TABLE_FULL,     /* a table of roots has no room */
	ABORT_NO_MEMORY,      /* our own mapping failed */
	ABORT_CORRUPT_LIST,   /* a cached list leads nowhere: the program wrote past a block */
	ABORT_UNSEEN,         /* the kernel holds what we could not see go there */
	ABORT_EXEC,           /* a thread is inside exec */
	ABORT_SHARED,         /* another process runs in this memory */
	ABORT_ALTSTACK,       /* a stop would write where a thread's alternate signal stack was */
	ABORT_REASONS
};
extern const char *const abort_names[ABORT_REASONS]; /* for people */
extern const char *const abort_hints[ABORT_REASONS]; /* what they can do */
extern const char *const abort_keys[ABORT_REASONS];  /* for the statistics block: one word each */

enum { PAUSE_BUCKETS = 128 }; /* log-linear histogram of pauses: 4 buckets per doubling of nanoseconds */

struct stats {
	uint64_t cycles, aborted[ABORT_REASONS];
	uint64_t pause_max_ns, pause_total_ns, pause_histogram[PAUSE_BUCKETS];
	uint64_t condemned_blocks, condemned_bytes;
	uint64_t recycled_blocks, recycled_bytes;
	uint64_t judged_blocks;      /* judgements: blocks that a completed cycle found reachable or lost, summed up over cycles */
	uint64_t evidence, misuse;
	uint64_t foreign_frees;      /* pointers outside the arena given to free/realloc */
	uint64_t marked_blocks, marked_bytes; /* by the last completed mark */
	uint64_t root_bytes;         /* scanned by the last completed mark */
	uint64_t in_flight;          /* words in pipes, sockets and queues, as the last mark saw them */
	uint64_t in_device;          /* those among them that a device has, until their blocks are freed */
	uint64_t refills, remote_frees, adopted_spans, lent_caches;
	uint64_t counted_refills;    /* with stress=N and in audit: refills and large blocks. In audit each small block is a refill */
	uint64_t caught;             /* loads of ours that faulted; each page was read otherwise then */
	uint64_t purged_bytes;
	uint64_t eintr_hidden;       /* EINTRs of ours that a wrapper hid */
	const char *malloc_elsewhere;/* NULL, or the file whose malloc the program calls instead of ours */
	const char *degraded;        /* NULL, or why the collector does not run: one sentence */
};
extern struct stats stats;

static inline void stats_add(uint64_t *field, uint64_t n) { __atomic_fetch_add(field, n, __ATOMIC_RELAXED); }
void stats_pause(uint64_t ns);              /* records one pause */
uint64_t stats_pause_percentile(unsigned p);/* p in 1..100; upper bound of its bucket, in ns */

#endif
