/*
 * The report as text, at exit: one cycle that judges and recycles nothing, its dead set summed up by the direct caller of
 * malloc, largest first.
 *
 *   cgc: 3 blocks of 96 bytes are lost (2 direct, 1 hang off them), from 2 places
 *     64 bytes in 2 blocks (1 direct), allocated at /usr/bin/app+0x1139
 *
 * Offsets are what addr2line and llvm-symbolizer take. Other threads may still run: the cycle stops them as always.
 */
#include "report/report.h"
#include "report/find.h"
#include "cycle/cycle_parts.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "heap/veil.h"
#include "roots/roots.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

enum { PRINTED = 100 };

static struct {
	uint64_t blocks;
} result;

void report_start(void)
{
	if (options.mode == MODE_AUDIT && options.audit == AUDIT_TOUCH)
		veil_start();
	bool wanted = options.mode == MODE_REPORT || options.mode == MODE_AUDIT || (options.mode == MODE_COLLECT && options.sites);
	if (wanted && !sites_start(options.mode == MODE_REPORT ? options.sample : 0))
		say("no memory for the table of allocation sites: reports cannot name callers: the program runs on");
}

void report_forked(void) { result.blocks = 0; }

static void print_leak(const struct leak *leak)
{
	char place[300];
	say_raw("  %lu bytes in %lu blocks (%lu direct), allocated at %s\n", leak->bytes, leak->blocks, leak->direct_blocks,
	        roots_place(place, sizeof place, sites_address(leak->site)));
}

static void print(struct leak *leaks, uint32_t count)
{
	uint64_t blocks = 0, bytes = 0, direct = 0;
	uint32_t places = 0;
	for (uint32_t i = 0; i < count; i++) {
		blocks += leaks[i].blocks;
		bytes += leaks[i].bytes;
		direct += leaks[i].direct_blocks;
		places += leaks[i].blocks != 0;
	}
	result.blocks = blocks;
	if (!blocks) {
		say("no block is lost");
		return;
	}
	say("%lu blocks of %lu bytes are lost (%lu direct, %lu hang off them), from %u places", blocks, bytes, direct, blocks - direct, places);
	for (unsigned n = 0; n < PRINTED && n < places; n++) {
		struct leak *most = &leaks[0];
		for (uint32_t i = 1; i < count; i++)
			if (leaks[i].bytes > most->bytes)
				most = &leaks[i];
		print_leak(most);
		most->bytes = 0;
	}
	if (places > PRINTED)
		say_raw("  and %u more places\n", places - PRINTED);
}

static void visit(const struct dead_set *set)
{
	uint32_t count = sites_count() + 1;
	size_t size = align_up(count * sizeof(struct leak), OS_PAGE);
	struct leak *leaks = os_map(size);
	if (leaks && find_leaks(set, leaks))
		print(leaks, count);
	else
		say("no memory for the leak report: it is left out");
	if (leaks)
		os_unmap(leaks, size);
}

uint64_t report_at_exit(void)
{
	for (int attempt = 0; attempt < 10; attempt++) {
		enum abort_reason reason = cycle_visit_dead(visit);
		if (reason == ABORT_NONE)
			return result.blocks;
		if (attempt == 9)
			say("the leak report could not be made: %s: run again", abort_names[reason]);
		os_sleep_ns(2000000);
	}
	return 0;
}
