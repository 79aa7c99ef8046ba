/*
 * `cgc leaks`: the report of a running process or of snapshot files. Several files, as the processes of one run leave them, are merged by
 * site.
 */
#include "commands.h"
#include "leaks.h"
#include "numbers.h"
#include "source.h"

#include <string.h>

static const char usage[] =
	"cgc leaks [OPTION...] PID|FILE...\n"
	"\n"
	"Lists what a program has lost, by the call stack that allocated it: of a running one (started by\n"
	"`cgc run --mode=report`, or with listen=1), or from snapshot files, several of which are merged.";
static const char more[] =
	"Exit status: 0; 1 with --fail when something is listed; 2 for a bad command line, file or process;\n"
	"3 with --fail when no cycle completed, so that nothing is known.";

static bool has_growth(const struct view *v)
{
	for (size_t i = 0; i < v->source_count; i++)
		if (snapshot_count(&v->sources[i].s, SECTION_GROWTH))
			return true;
	return false;
}

/* Why there is nothing to show of growth, if it is not that nothing grew. */
static void growth_caution(const struct view *v)
{
	if (v->looks > 1 || has_growth(v))
		return;
	if (v->look_every_ns)
		complain("%s so far at what grows (--interval=%s), and growth shows from the second on: ask again later", v->looks ? "there was one look" : "there was no look",
		         age_text(v->look_every_ns));
	else
		complain("nobody looked at what grows: start the program with --interval=60s or the like, or compare snapshots by `cgc diff`");
}

static int report(struct leaks_request *r, char **names, size_t count, bool generate, bool fail)
{
	struct view v;
	struct suppressions s;
	int status;
	if (!suppressions_read(&s, &r->suppressions, &r->only))
		return STATUS_USAGE;
	struct view_source *sources = sources_open(names, count, choice_has(&r->choice, KIND_REACHABLE) ? "snapshot reachable" : "snapshot", &status);
	if (!sources || (status = leaks_view(&v, sources, count, r, &s)))
		return status;
	leaks_caution(&v);
	if (r->choice.since_ns)
		growth_caution(&v);
	if (generate)
		suppressions_generate(stdout, &v, &r->choice, r->format == FORMAT_LSAN);
	else
		leaks_write(stdout, &v, r, &s);
	if (output_done())
		return STATUS_USAGE;
	if (!fail)
		return 0;
	return view_sums(&v, &r->choice).sites ? 1 : v.complete ? 0 : STATUS_UNKNOWN;
}

int command_leaks(int argc, char **argv)
{
	struct leaks_request r = { 0 };
	bool generate = false, fail = false;
	size_t limit = SIZE_MAX;
	const struct argument table[] = {
		{ "since", ARGUMENT_TIME, &r.choice.since_ns, "TIME", "what grew in that time (10m, 2h), whatever still leads to it" },
		{ "possible", ARGUMENT_SWITCH, &r.choice.possible, "", "possible leaks too: only interior pointers or stale words lead to them" },
		{ "indirect", ARGUMENT_SWITCH, &r.choice.indirect, "", "as text: sites too whose blocks all hang off other leaks; other formats have them" },
		{ "reachable", ARGUMENT_SWITCH, &r.choice.reachable, "", "what is still reachable, too" },
		{ "format", ARGUMENT_CHOICE, &r.format, FORMAT_NAMES, "text (default), LeakSanitizer's lines, or JSON" },
		{ "suppressions", ARGUMENT_TEXTS, &r.suppressions, "FILE", "leave out what its leak: lines or valgrind blocks match" },
		{ "only", ARGUMENT_TEXTS, &r.only, "PATTERN", "only leaks with a frame in this library, file or function" },
		{ "show-suppressed", ARGUMENT_SWITCH, &r.choice.suppressed, "", "what suppressions leave out, too" },
		{ "gen-suppressions", ARGUMENT_SWITCH, &generate, "", "print rules for all that would be listed, as valgrind's, or with --format=lsan" },
		{ "limit", ARGUMENT_NUMBER, &limit, "N", "sites listed; 0 is all (default: 50 as text, else all)" },
		{ "fail", ARGUMENT_SWITCH, &fail, "", "exit status 1 when something is listed" },
		{ "symbolizer", ARGUMENT_CHOICE, &r.symbols.source, SYMBOLIZER_NAMES, "who names functions; auto is the first that is installed" },
		{ "debuginfod", ARGUMENT_SWITCH, &r.symbols.debuginfod, "", "fetch missing debug files by debuginfod-find" },
	};
	int names = arguments_read(table, NELEM(table), argc, argv, usage, more);
	if (names == -2)
		return output_done();
	if (names < 0)
		return STATUS_USAGE;
	if (!names) {
		complain("no process and no file is given: `cgc list` shows processes, `cgc leaks --help` more");
		return STATUS_USAGE;
	}
	r.choice.indirect |= generate || r.format != FORMAT_TEXT;
	r.limit_given = generate || limit != SIZE_MAX; /* rules are for a file, not for the eye */
	r.choice.limit = limit != SIZE_MAX ? limit : 0;
	return report(&r, argv + 1, (size_t)names, generate, fail);
}
