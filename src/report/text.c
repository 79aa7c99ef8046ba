/*
 * The report as text: readable without the cgc command, and the same in every run but for pid and growth.
 *
 *   cgc: 2 leaks, 31.2 MiB in 8,125 blocks (definite 31.0 MiB, indirect 0.2 MiB)   pid 4121  ./server 8080
 *   #1  31.0 MiB  8,113 blocks  +52 KiB/s  definite: no pointer leads to it  id 7f3a9c0d5e6b1a24
 *         parse_header                    /opt/app/server+0x1a2b
 *         conn_read                       /opt/app/server+0x2210
 *         /opt/app/libplain.so+0x1139
 *         +9 frames
 *
 * A leak is a site with definite blocks. What hangs off them is counted with them, whoever allocated it, so the leaks add up to the first
 * line. Possible ones are one line: most of them are in use. Names are those of symbol tables; offsets are what addr2line and
 * llvm-symbolizer take.
 */
#include "report/growth.h"
#include "report/names.h"
#include "report/program.h"
#include "report/report.h"
#include "base/options.h"
#include "base/sort.h"
#include "base/text.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "os/os.h"

#include <string.h>

enum { LEAKS_MOST = 100, FRAMES_MOST = 12, BLOCKS_MOST = 1000, NAME_WIDTH = 32, PATH_MOST = 200, NAME_MOST = 400, COMMAND_SHOWN = 80 };

/* ---- numbers ---- */

/* "96 bytes", "31.0 MiB". */
static const char *size_text(char *buf, size_t cap, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	if (bytes < 1024) {
		text_format(buf, cap, "%lu byte%s", bytes, bytes == 1 ? "" : "s");
		return buf;
	}
	unsigned unit = 0;
	while (unit + 1 < NELEM(units) && bytes >> 10 * (unit + 2))
		unit++;
	/* In tenths, rounded; the remainder is taken before it is multiplied, so nothing overflows. */
	uint64_t whole = bytes >> 10 * (unit + 1), part = bytes & ((1ull << 10 * (unit + 1)) - 1);
	uint64_t tenths = ((part >> 10 * unit) * 10 + 512) >> 10;
	text_format(buf, cap, "%lu.%lu %s", whole + tenths / 10, tenths % 10, units[unit]);
	return buf;
}

/* "12,040" */
static const char *count_text(char *buf, size_t cap, uint64_t n)
{
	char digits[24];
	size_t length = text_format(digits, sizeof digits, "%lu", n), at = 0;
	for (size_t i = 0; i < length && at + 2 < cap; i++) {
		if (i && (length - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = 0;
	return buf;
}

static const char *blocks_text(char *buf, size_t cap, uint64_t n)
{
	char number[32];
	text_format(buf, cap, "%s block%s", count_text(number, sizeof number, n), n == 1 ? "" : "s");
	return buf;
}

/* ---- one leak ---- */

static uint64_t leak_bytes(const struct report_site *s) { return s->s.kind[KIND_DEFINITE].bytes + s->s.owned_bytes; }
static bool is_leak(const struct report_site *s) { return !s->suppression && s->s.kind[KIND_DEFINITE].blocks; }

static const char *rule_text(const struct report_site *s)
{
	if (s->s.rule == RULE_LOST_OWNER && !s->s.kind[KIND_INDIRECT].blocks)
		return "only lost blocks of the parent process lead to it";
	return s->s.rule == RULE_CYCLE ? "only blocks that hang off it lead to it" : "no pointer leads to it";
}

/* Of a long path the end is what tells most. */
static const char *path_end(const char *path, const char **dots)
{
	const size_t n = strlen(path);
	*dots = n > PATH_MOST ? "..." : "";
	return n > PATH_MOST ? path + n - PATH_MOST : path;
}

static void print_frame(uint32_t node, uint32_t *parent)
{
	struct frame_name f;
	const char *dots = "";
	names_frame(node, &f);
	*parent = f.parent;
	if (!f.module) {
		say_raw("      0x%lx\n", f.pc);
		return;
	}
	const char *path = path_end(f.module, &dots);
	if (f.function)
		say_raw("      %-*.*s  %s%s+0x%lx\n", NAME_WIDTH, NAME_MOST, f.function, dots, path, f.place);
	else
		say_raw("      %s%s+0x%lx\n", dots, path, f.place);
}

static void print_stack(uint32_t node)
{
	unsigned shown = 0, more = 0;
	if (!node)
		say_raw("      a place that was not recorded\n");
	while (node && shown++ < FRAMES_MOST)
		print_frame(node, &node);
	for (; node; node = depot_get(node)->parent)
		more++;
	if (more)
		say_raw("      +%u frame%s\n", more, more == 1 ? "" : "s");
}

/* The lost blocks of one site. */
static void print_blocks(const struct report *r, uint32_t site)
{
	unsigned shown = 0, more = 0;
	for (uint64_t i = 0; i < r->block_count; i++) {
		const struct snapshot_block *b = &r->blocks[i];
		if (b->site != site || (b->kind != KIND_DEFINITE && b->kind != KIND_INDIRECT))
			continue;
		if (shown == BLOCKS_MOST) {
			more++;
			continue;
		}
		shown++;
		if (b->owner)
			say_raw("      0x%lx  %lu bytes, hangs off 0x%lx\n", b->address, b->bytes, b->owner);
		else
			say_raw("      0x%lx  %lu bytes\n", b->address, b->bytes);
	}
	if (more)
		say_raw("      and %u more blocks: snapshot=FILE keeps all\n", more);
}

static void print_leak(unsigned number, const struct report *r, uint32_t site)
{
	const struct report_site *s = &r->sites[site];
	char size[32], blocks[40], owned[32], owned_blocks[40], rate[32], grows[48] = "", hang[128] = "";
	const int64_t growth = growth_rate(s->s.frame);
	if (growth > 0)
		text_format(grows, sizeof grows, "  +%s/s", size_text(rate, sizeof rate, (uint64_t)growth));
	if (s->s.owned_blocks)
		text_format(hang, sizeof hang, ", with %s in %s that hang%s off it", size_text(owned, sizeof owned, s->s.owned_bytes),
		            blocks_text(owned_blocks, sizeof owned_blocks, s->s.owned_blocks), s->s.owned_blocks == 1 ? "s" : "");
	say_raw("#%u  %s  %s%s  definite: %s%s  id %016lx\n", number, size_text(size, sizeof size, leak_bytes(s)),
	        blocks_text(blocks, sizeof blocks, s->s.kind[KIND_DEFINITE].blocks + s->s.owned_blocks), grows, rule_text(s), hang, s->s.id);
	print_stack(s->s.frame);
	if (options.lsan.objects)
		print_blocks(r, site);
}

/* ---- all of them ---- */

/* Larger first; of equal ones the lower id, so that the order is the same in each run. */
static bool before(const void *one, const void *other, const void *report)
{
	const struct report_site *a = &((const struct report *)report)->sites[*(const uint32_t *)one];
	const struct report_site *b = &((const struct report *)report)->sites[*(const uint32_t *)other];
	uint64_t x = leak_bytes(a), y = leak_bytes(b);
	return x != y ? x > y : a->s.id < b->s.id;
}

static void print_leaks(const struct report *r, uint32_t leaks)
{
	const size_t room = align_up((size_t)leaks * 4 + 1, OS_PAGE);
	uint32_t *order = os_map(room), n = 0;
	if (!order) {
		say("no memory to sort the leaks: they are left out");
		return;
	}
	for (uint32_t i = 0; i < r->count && n < leaks; i++)
		if (is_leak(&r->sites[i]))
			order[n++] = i;
	uint32_t moving;
	sort_by(order, n, sizeof moving, before, r, &moving);
	const uint32_t most = options.lsan.max_leaks ? options.lsan.max_leaks : LEAKS_MOST;
	for (uint32_t i = 0; i < n && i < most; i++)
		print_leak(i + 1, r, order[i]);
	for (uint32_t i = 0; i < r->count && options.lsan.objects && n <= most; i++)
		if (!r->sites[i].suppression && !is_leak(&r->sites[i]))
			print_blocks(r, i);
	if (n > most)
		say_raw("and %u more leaks: snapshot=FILE keeps all\n", n - most);
	os_unmap(order, room);
}

static void print_rest(const struct report *r)
{
	char size[32], blocks[40];
	if (r->total[KIND_POSSIBLE].blocks)
		say_raw("possible: %s in %s, to which only pointers into their middle or stale stack words lead\n",
		        size_text(size, sizeof size, r->total[KIND_POSSIBLE].bytes), blocks_text(blocks, sizeof blocks, r->total[KIND_POSSIBLE].blocks));
	if (r->suppressed_blocks)
		say_raw("suppressed: %s in %s\n", size_text(size, sizeof size, r->suppressed_bytes), blocks_text(blocks, sizeof blocks, r->suppressed_blocks));
}

void report_print(const struct report *r, const char *why)
{
	char command[COMMAND_SHOWN + 8], all[32], definite[32], indirect[32], blocks[40], moment[144] = "";
	uint32_t leaks = 0;
	if (!r->complete) {
		say("the leak report could not be made: %s: %s", r->reason ? r->reason : "no cycle completed", r->hint ? r->hint : "run again");
		return;
	}
	for (uint32_t i = 0; i < r->count; i++)
		leaks += is_leak(&r->sites[i]);
	program_command(command, COMMAND_SHOWN);
	if (strcmp(why, "exit") != 0)
		text_format(moment, sizeof moment, "   at %s", why);
	if (sites_sampled())
		text_format(moment + strlen(moment), sizeof moment - strlen(moment), "   estimated, sample=%s", size_text(all, sizeof all, sites_sampled()));
	if (depot_is_full())
		text_format(moment + strlen(moment), sizeof moment - strlen(moment), "   too many stacks: later ones are one frame");
	names_lock();
	if (!leaks) {
		say("no leaks%s   pid %d  %s", moment, os_pid(), command);
	} else {
		const uint64_t d = r->total[KIND_DEFINITE].bytes, i = r->total[KIND_INDIRECT].bytes;
		say("%u leak%s, %s in %s (definite %s, indirect %s)%s   pid %d  %s", leaks, leaks == 1 ? "" : "s", size_text(all, sizeof all, d + i),
		    blocks_text(blocks, sizeof blocks, r->total[KIND_DEFINITE].blocks + r->total[KIND_INDIRECT].blocks),
		    size_text(definite, sizeof definite, d), size_text(indirect, sizeof indirect, i), moment, os_pid(), command);
		print_leaks(r, leaks);
	}
	print_rest(r);
	names_unlock();
}
