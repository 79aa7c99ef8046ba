/* `cgc show`: all about one site: every frame with its source line, inlined calls, the blocks that are lost, growth over time. */
#include "commands.h"
#include "leaks.h"
#include "numbers.h"
#include "source.h"

#include <inttypes.h>

static const char usage[] =
	"cgc show [OPTION...] PID|FILE... SITE\n"
	"\n"
	"Shows one site in full. SITE is the beginning of an id that `cgc leaks` prints.";

/* The site's place in a snapshot; UINT64_MAX: it has none. */
static uint64_t place_in(const struct snapshot *s, uint64_t id)
{
	for (uint64_t i = 0; i < snapshot_count(s, SECTION_SITES); i++) {
		struct snapshot_site site;
		snapshot_record(s, SECTION_SITES, i, &site, sizeof(site));
		if (site.id == id)
			return i;
	}
	return UINT64_MAX;
}

static void print_blocks(const struct view *v, const struct view_site *site, size_t limit)
{
	size_t number = 0;
	for (size_t k = 0; k < v->source_count; k++) {
		const struct snapshot *s = &v->sources[k].s;
		uint64_t place = place_in(s, site->id);
		for (uint64_t i = 0; place != UINT64_MAX && i < snapshot_count(s, SECTION_BLOCKS); i++) {
			struct snapshot_block b;
			snapshot_record(s, SECTION_BLOCKS, i, &b, sizeof(b));
			if (b.site != place || (number++ >= limit && limit))
				continue;
			if (number == 1)
				puts("  blocks");
			printf("    0x%" PRIx64 "  %10s  %-10s %s", b.address, bytes_text(b.bytes), kind_names[b.kind], rule_texts[b.rule]);
			if (b.owner)
				printf(": 0x%" PRIx64, b.owner);
			puts("");
		}
	}
	if (limit && number > limit)
		printf("    and %s more: --limit=0 lists all\n", number_text(number - limit));
}

static bool is_site(const struct view_site *site, const void *arg) { return site == arg; }

int command_show(int argc, char **argv)
{
	struct leaks_request r = { 0 };
	struct view v;
	size_t limit = 20;
	int status;
	const struct argument table[] = {
		{ "limit", ARGUMENT_NUMBER, &limit, "N", "blocks listed; 0 is all (default 20)" },
		{ "symbolizer", ARGUMENT_CHOICE, &r.symbols.source, SYMBOLIZER_NAMES, "who names functions; auto is the first that is installed" },
		{ "debuginfod", ARGUMENT_SWITCH, &r.symbols.debuginfod, "", "fetch missing debug files by debuginfod-find" },
	};
	int names = arguments_read(table, NELEM(table), argc, argv, usage, "");
	if (names == -2)
		return output_done();
	if (names == 0 || names == 1)
		complain("a process or file and a site are needed: cgc show PID|FILE SITE");
	if (names < 2)
		return STATUS_USAGE;
	size_t count = (size_t)names - 1;
	struct view_source *sources = sources_open(argv + 1, count, "snapshot blocks", &status);
	if (!sources)
		return status;
	if (!view_make(&v, sources, count, 0))
		return STATUS_USAGE;
	const struct view_site *site = view_find(&v, argv[names]);
	if (!site)
		return STATUS_USAGE;
	leaks_caution(&v);
	symbols_resolve(&v, is_site, site, &r.symbols);
	struct page p = { .to = stdout, .view = &v, .choice = { .possible = true, .reachable = true, .suppressed = true }, .colour = leaks_colour(stdout) };
	format_text_site(&p, site);
	print_blocks(&v, site, limit);
	return output_done();
}
