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
#include "heap/sites.h"
#include "heap/veil.h"
#include "roots/roots.h"
#include "base/options.h"
#include "base/text.h"

enum { PRINTED = 100 };

static struct {
	uint64_t blocks;
} result;

void report_start(void)
{
	if (options.mode == MODE_AUDIT && options.audit == AUDIT_TOUCH)
		veil_start();
	bool wanted = options.mode == MODE_REPORT || options.mode == MODE_AUDIT || (options.mode == MODE_COLLECT && options.sites);
	if (wanted && !sites_start(0))
		say("no memory for the table of allocation sites: reports cannot name callers: the program runs on");
}

void report_forked(void) { result.blocks = 0; }

static void print_site(const struct report_site *site)
{
	char place[300];
	const struct snapshot_site *s = &site->s;
	uint64_t lost[2] = { s->kind[KIND_DEFINITE].blocks + s->kind[KIND_INDIRECT].blocks, s->kind[KIND_DEFINITE].bytes + s->kind[KIND_INDIRECT].bytes };
	if (lost[0])
		say_raw("  %lu bytes in %lu blocks (%lu direct), allocated at %s\n", lost[1], lost[0], s->kind[KIND_DEFINITE].blocks,
		        roots_place(place, sizeof place, sites_address(s->frame)));
}

static void print(const struct report *r)
{
	uint64_t direct = r->total[KIND_DEFINITE].blocks, indirect = r->total[KIND_INDIRECT].blocks;
	uint32_t places = 0;
	result.blocks = direct + indirect;
	for (uint32_t i = 0; i < r->count; i++)
		places += r->sites[i].s.kind[KIND_DEFINITE].blocks || r->sites[i].s.kind[KIND_INDIRECT].blocks;
	if (!result.blocks) {
		say("no block is lost");
		return;
	}
	say("%lu blocks of %lu bytes are lost (%lu direct, %lu hang off them), from %u places", result.blocks,
	    r->total[KIND_DEFINITE].bytes + r->total[KIND_INDIRECT].bytes, direct, indirect, places);
	for (uint32_t i = 0, printed = 0; i < r->count && printed < PRINTED; i++, printed++)
		print_site(&r->sites[i]);
	if (places > PRINTED)
		say_raw("  and %u more places\n", places - PRINTED);
}

uint64_t report_at_exit(void)
{
	struct report r;
	report_take(&r, 0);
	if (r.complete)
		print(&r);
	else
		say("the leak report could not be made: %s: run again", r.reason);
	report_drop(&r);
	return result.blocks;
}
