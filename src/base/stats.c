/*
 * The process's counters and the histogram of pauses.
 *
 * The histogram is log-linear: four buckets a doubling, so a percentile read from it is at most 25 % above the true one
 * while 128 buckets reach from 1 ns to more than 4 s. Bucket b < 4 holds exactly b ns; above,
 *
 *     b = (e - 1) * 4 + f,  e = log2_floor(ns), f = the two bits below the leading one
 *
 * and the last bucket takes all that is longer. Counters are added one by one without a lock: a reader may see a sum that
 * no moment ever had, which is good enough for statistics and never touches a mutator's cache line twice.
 */
#include "base/stats.h"

struct stats stats;

const char *const abort_names[ABORT_REASONS] = {
	[ABORT_NONE] = "none",
	[ABORT_THREAD_SILENT] = "a thread did not answer",
	[ABORT_TASK_LIST] = "the list of threads could not be read",
	[ABORT_SIGNAL] = "a signal could not be sent",
	[ABORT_ROOT_UNREADABLE] = "a root could not be read",
	[ABORT_TABLE_FULL] = "a table of roots is full",
	[ABORT_NO_MEMORY] = "no memory for the collector",
	[ABORT_CORRUPT_LIST] = "a cached list is damaged",
	[ABORT_UNSEEN] = "io_uring was entered unseen",
	[ABORT_EXEC] = "a thread is inside exec",
	[ABORT_SHARED] = "another process runs in this memory (clone with CLONE_VM)",
	[ABORT_ALTSTACK] = "a thread's stack has no place for a signal (alternate, and freed or unmapped by another; or under a protection key)",
};

const char *const abort_hints[ABORT_REASONS] = {
	[ABORT_NONE] = "run again",
	[ABORT_THREAD_SILENT] = "a thread in uninterruptible sleep, or a machine with too much to do: run again",
	[ABORT_TASK_LIST] = "is /proc mounted where the program is now?",
	[ABORT_SIGNAL] = "does a filter of system calls forbid it?",
	[ABORT_ROOT_UNREADABLE] = "is /proc mounted where the program is now?",
	[ABORT_TABLE_FULL] = "name fewer roots",
	[ABORT_NO_MEMORY] = "give it more memory",
	[ABORT_CORRUPT_LIST] = "the program wrote past a block: look with audit or valgrind",
	[ABORT_UNSEEN] = "only rings that are set up by wrapped calls can be seen",
	[ABORT_EXEC] = "run again",
	[ABORT_SHARED] = "ask when it has ended",
	[ABORT_ALTSTACK] = "ask when that thread has ended",
};

const char *const abort_keys[ABORT_REASONS] = {
	[ABORT_NONE] = "none",
	[ABORT_THREAD_SILENT] = "thread_silent",
	[ABORT_TASK_LIST] = "task_list",
	[ABORT_SIGNAL] = "signal",
	[ABORT_ROOT_UNREADABLE] = "root_unreadable",
	[ABORT_TABLE_FULL] = "table_full",
	[ABORT_NO_MEMORY] = "no_memory",
	[ABORT_CORRUPT_LIST] = "corrupt_list",
	[ABORT_UNSEEN] = "io_uring_unseen",
	[ABORT_EXEC] = "exec",
	[ABORT_SHARED] = "shared",
	[ABORT_ALTSTACK] = "altstack",
};

static unsigned bucket_of(uint64_t ns)
{
	if (ns < 4)
		return (unsigned)ns;
	unsigned e = log2_floor(ns);
	unsigned b = (e - 1) * 4 + (unsigned)((ns >> (e - 2)) & 3);
	return b < PAUSE_BUCKETS ? b : PAUSE_BUCKETS - 1;
}

/* The longest pause that falls into bucket b. */
static uint64_t bucket_top(unsigned b)
{
	if (b < 4)
		return b;
	unsigned e = b / 4 + 1, f = b % 4;
	return ((uint64_t)(4 + f + 1) << (e - 2)) - 1;
}

void stats_pause(uint64_t ns)
{
	stats_add(&stats.pause_total_ns, ns);
	stats_add(&stats.pause_histogram[bucket_of(ns)], 1);
	uint64_t seen = load_relaxed(&stats.pause_max_ns);
	while (ns > seen && !cas(&stats.pause_max_ns, &seen, ns))
		;
}

uint64_t stats_pause_percentile(unsigned p)
{
	uint64_t total = 0;
	for (unsigned b = 0; b < PAUSE_BUCKETS; b++)
		total += load_relaxed(&stats.pause_histogram[b]);
	if (!total)
		return 0;
	/* The smallest number of pauses that is at least p percent of all. */
	uint64_t rank = (total * p + 99) / 100, below = 0;
	uint64_t longest = load_relaxed(&stats.pause_max_ns);
	for (unsigned b = 0; b < PAUSE_BUCKETS - 1; b++) {
		below += load_relaxed(&stats.pause_histogram[b]);
		if (below >= rank)
			return bucket_top(b) < longest ? bucket_top(b) : longest;
	}
	return longest;
}
