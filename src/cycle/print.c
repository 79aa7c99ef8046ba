/* stats=1: the statistics block, one `name value` a line behind a heading, for people and scripts alike. */
#include "cycle/cycle.h"
#include "heap/heap.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <fcntl.h>

/* The name of the program as /proc/self/status has it in its first line, cut there. */
static const char *status_name(char *text)
{
	static const char title[] = "Name:\t";
	size_t at = 0;
	for (; at < sizeof title - 1; at++)
		if (text[at] != title[at])
			return "unknown";
	char *name = text + at;
	for (; text[at] && text[at] != '\n'; at++) {
	}
	text[at] = 0;
	return name;
}

/* Resident set and its peak in bytes, from /proc/self/status; 0 when it cannot be read. */
static uint64_t status_kib(const char *text, const char *name)
{
	for (const char *p = text; *p; p++)
		if (p == text || p[-1] == '\n') {
			const char *q = p, *n = name;
			while (*n && *q == *n)
				q++, n++;
			if (*n)
				continue;
			uint64_t value = 0;
			for (; *q && *q != '\n'; q++)
				if (*q >= '0' && *q <= '9')
					value = value * 10 + (uint64_t)(*q - '0');
			return value;
		}
	return 0;
}

void cycle_print_stats(void)
{
	static const char *const modes[] = { "collect", "report", "audit", "off" };
	struct heap_totals t;
	char status[4096] = "";
	uint64_t aborted = 0;
	heap_totals(&t);
	int fd = os_open("/proc/self/status", O_RDONLY, 0);
	if (fd >= 0) {
		long n = os_read(fd, status, sizeof status - 1);
		status[n > 0 ? n : 0] = 0;
		os_close(fd);
	}
	for (unsigned i = 1; i < ABORT_REASONS; i++)
		aborted += stats.aborted[i];
	say_raw("cgc: statistics of process %d\nmode %s\ncycles %lu\naborted %lu\n", os_pid(), modes[options.mode], stats.cycles, aborted);
	for (unsigned i = 1; i < ABORT_REASONS; i++)
		if (stats.aborted[i])
			say_raw("aborted_%s %lu\n", abort_keys[i], stats.aborted[i]);
	say_raw("pause_max_us %lu\npause_p99_us %lu\npause_total_us %lu\n", stats.pause_max_ns / 1000, stats_pause_percentile(99) / 1000,
	        stats.pause_total_ns / 1000);
	say_raw("condemned_blocks %lu\ncondemned_bytes %lu\nrecycled_blocks %lu\nrecycled_bytes %lu\n", stats.condemned_blocks,
	        stats.condemned_bytes, stats.recycled_blocks, stats.recycled_bytes);
	say_raw("marked_blocks %lu\nmarked_bytes %lu\nroot_bytes %lu\nin_flight %lu\nin_device %lu\nfaults_caught %lu\n", stats.marked_blocks, stats.marked_bytes,
	        stats.root_bytes, stats.in_flight, stats.in_device, stats.caught);
	say_raw("live_bytes %zu\nheap_bytes %zu\nfree_resident_bytes %zu\nmetadata_bytes %zu\npurged_bytes %lu\n", t.live, t.mapped, t.dirty,
	        t.metadata, stats.purged_bytes);
	say_raw("rss_kib %lu\nrss_peak_kib %lu\n", status_kib(status, "VmRSS:"), status_kib(status, "VmHWM:"));
	say_raw("counted_refills %lu\njudged_blocks %lu\nevidence %lu\nmisuse %lu\nforeign_frees %lu\nremote_frees %lu\nadopted_spans %lu\nlent_caches %lu\neintr_hidden %lu\n", stats.counted_refills, stats.judged_blocks, stats.evidence,
	        stats.misuse, stats.foreign_frees, stats.remote_frees, stats.adopted_spans, stats.lent_caches, stats.eintr_hidden);
	say_raw("program %s\n", status_name(status));
	if (fault_armed)
		say_raw("faults %lu\n", fault_hits());
	if (stats.malloc_elsewhere)
		say_raw("malloc_elsewhere %s\n", stats.malloc_elsewhere);
	if (stats.degraded)
		say_raw("degraded %s\n", stats.degraded);
}
