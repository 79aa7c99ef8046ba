/*
 * The table of options, and the one parser that the library and the `cgc` command share.
 *
 * An item "name=value" is cut out of the text, its row is found, the value is read by the row's kind and stored through
 * the row's offset. What can't be read is answered with one line in the house form (what happened: what it means: what
 * is used), the field gets its default, and parsing goes on: a typing error in an environment variable must never stop
 * a program. Nothing is kept between calls, nothing allocates.
 */
#include "base/options.h"
#include "base/printable.h"
#include "base/text.h"

#include <string.h>

#define AT(field) offsetof(struct options, field), sizeof(((struct options *)0)->field)

const struct option_row option_table[] = {
	{ "mode", OPTION_CHOICE, "collect|report|audit|off", 0, 3, "collect",
	  "collect recycles lost memory, report lists it at exit, audit looks for hidden pointers, off only allocates", AT(mode) },
	{ "stats", OPTION_NUMBER, NULL, 0, 1, "0", "print statistics at exit and on malloc_stats()", AT(stats) },
	{ "log_path", OPTION_TEXT, NULL, 0, 0, "", "file that lines and reports are appended to; %p becomes the pid; stderr when empty", AT(log_path) },
	{ "verbosity", OPTION_NUMBER, NULL, 0, 2, "0", "0 silent unless something is wrong, 1 one line a cycle, 2 more", AT(verbosity) },
	{ "cpu_limit", OPTION_NUMBER, NULL, 1, 100, "10", "percent of CPU time for the collector while memory is ample", AT(cpu_limit) },
	{ "growth", OPTION_NUMBER, NULL, 10, 1000, "100", "growth, in percent of the live heap, that starts a cycle", AT(growth) },
	{ "grace", OPTION_NUMBER, NULL, 0, 32, "1", "extra cycles between the finding that a block is lost and its reuse; 0 is for tests", AT(grace) },
	{ "heap_limit", OPTION_SIZE, NULL, 0, 0, "0", "bytes (k, m, g) after which malloc collects and then fails; 0 is no limit", AT(heap_limit) },
	{ "stress", OPTION_NUMBER, NULL, 0, 1000000000, "0", "test: a cycle at every Nth refill, recycled blocks are overwritten; 0 is off", AT(stress) },
	{ "verify", OPTION_NUMBER, NULL, 0, 1, "0", "test: check each mark for pointers to unmarked blocks", AT(verify) },
	{ "watch", OPTION_ADDRESS, NULL, 0, 0, "0", "log each state change of the block at this address (0x...)", AT(watch) },
	{ "fault", OPTION_TEXT, NULL, 0, 0, "", "test: failures to inject, NAME, NAME@N or NAME@N.., joined by /", AT(fault) },
	{ "markers", OPTION_NUMBER, NULL, 1, 1, "1", "marker threads; this version has one", AT(markers) },
	{ "cycle", OPTION_CHOICE, "stop", 0, 0, "stop", "where the marker runs: stop is inside the stop", AT(cycle) },
	{ "roots", OPTION_CHOICE, "all|segments|+file", 0, 2, "all", "all memory that is no file; only data segments, stacks and registers (for comparison); or mapped files too", AT(roots) },
	{ "stacks", OPTION_CHOICE, "auto|live|whole", 0, 2, "auto", "what counts of a thread's stack: above the stack pointer alone (live), all of it (whole); auto: live in reports, else whole", AT(stacks) },
	{ "tagged", OPTION_NUMBER, NULL, 46, 64, "64", "words count by this many low bits too, the others being a tag (48); 64 is no tag", AT(tagged) },
	{ "integers", OPTION_NUMBER, NULL, 0, 1, "1", "integers that languages make of pointers (shifted, in digits of 30 bits) count as pointers", AT(integers) },
	{ "before", OPTION_NUMBER, NULL, 0, 4096, "0", "words up to this many bytes before a block count as pointers to it (one-based arrays: 8)", AT(before) },
	{ "align", OPTION_CHOICE, "8|4|2|1", 0, 3, "4", "alignment of the words that count as pointers", AT(align) },
	{ "mangled", OPTION_NUMBER, NULL, 0, 1, "1", "pointers that setjmp mangled count as pointers (glibc, x86-64)", AT(mangled) },
	{ "inflight", OPTION_NUMBER, NULL, 0, 86400, "10", "seconds that a pointer written to a pipe, socket or queue holds its block, unless read back; 0 is off", AT(inflight) },
	{ "signal", OPTION_NUMBER, NULL, 0, 64, "0", "signal that stops threads; 0 is the platform's choice", AT(signal) },
	{ "on_misuse", OPTION_CHOICE, "abort|report|ignore", 0, 2, "abort", "what follows a double, wild or interior free", AT(on_misuse) },
	{ "harden", OPTION_NUMBER, NULL, 0, 1, "0", "freed memory is poisoned, reused late and in random order; writes to it are found", AT(harden) },
	{ "explain", OPTION_NUMBER, NULL, 0, 1, "0", "on SIGSEGV and SIGBUS say whether a recycled, condemned or free block is at hand, then hand on", AT(explain) },
	{ "exitcode", OPTION_NUMBER, NULL, 0, 255, "0", "exit status when mode=report found leaks or mode=audit hidden pointers; 0 leaves it alone", AT(exitcode) },
	{ "audit", OPTION_CHOICE, "free|touch", 0, 1, "free", "mode=audit: only free and realloc of a lost block count, or also reads and writes of pages full of lost blocks", AT(audit) },
	{ "sites", OPTION_NUMBER, NULL, 0, 1, "0", "mode=collect: record allocation sites: evidence ends recycling of its site only, top sites are listed at exit", AT(sites) },
	{ "sample", OPTION_SIZE, NULL, 0, 0, "0", "mode=report: record about one allocation in so many bytes (512k) and estimate the rest; 0 records each", AT(sample) },
	{ "children", OPTION_TEXT, NULL, 0, 0, "all",
	  "programs below the first one that are served: all, none, or names joined by + (git+make); others run with mode=off", AT(children) },
	{ "snapshot", OPTION_TEXT, NULL, 0, 0, "", "mode=report: at exit a snapshot file for cgc is written here instead of text; %p becomes the pid", AT(snapshot) },
	{ "snapshot_dir", OPTION_TEXT, NULL, 0, 0, "", "mode=report: folder in which each process leaves its snapshot file at exit instead of text", AT(snapshot_dir) },
	{ "report_on", OPTION_CHOICE, "exit|exec|signal|exec+signal", 0, 3, "exit",
	  "mode=report: report also before another program takes the process over, and when a signal ends it", AT(report_on) },
	{ "exitcode_children", OPTION_NUMBER, NULL, 0, 1, "0", "exitcode= also replaces the status of processes that the first one started", AT(exitcode_children) },
	{ "exitcode_pid", OPTION_NUMBER, NULL, 0, 2147483647, "0", "process whose status exitcode= replaces; the first one sets it for those that it starts", AT(exitcode_pid) },
	{ "suppressions", OPTION_TEXT, NULL, 0, 0, "", "mode=report: files of suppressions, joined by + (LeakSanitizer's leak:, valgrind's, only:)", AT(suppressions) },
	{ "print_suppressions", OPTION_NUMBER, NULL, 0, 1, "0", "mode=report: say at the end what each suppression left out", AT(print_suppressions) },
	{ "listen", OPTION_NUMBER, NULL, 0, 1, "0", "the program can be asked while it runs, by cgc leaks, why, snapshot and list", AT(listen) },
	{ "interval", OPTION_SECONDS, NULL, 0, 8640000, "0", "time (s, m, h) between two looks at what grows; 0 is none", AT(interval) },
	{ "help", OPTION_NUMBER, NULL, 0, 1, "0", "print this table and run on", AT(help) },
};
const size_t option_count = NELEM(option_table);

STEADY struct options options;

enum { NAME_ROOM = 32, VALUE_ROOM = 256, SHOWN = 48, LINE_ROOM = 512 };

/* -- reading values -- */

/* The factor that a suffix stands for; 0: none has this letter. */
static uint64_t suffix(char c, bool times)
{
	switch (c | 0x20) {
	case 's': return times ? 1 : 0;
	case 'm': return times ? 60 : 1 << 20;
	case 'h': return times ? 3600 : 0;
	case 'k': return times ? 0 : 1 << 10;
	case 'g': return times ? 0 : 1 << 30;
	default: return 0;
	}
}

enum suffixes { NO_SUFFIX, SIZES, TIMES };

/* A number with an optional suffix; false when it is none or does not fit. */
static bool read_number(const char *s, enum suffixes suffixes, bool hex_only, uint64_t *out)
{
	unsigned base = 10;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	} else if (hex_only && !(s[0] == '0' && !s[1])) {
		return false;
	}
	uint64_t n = 0;
	const char *first = s;
	for (;; s++) {
		char c = *s | 0x20;
		unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
			return false;
	}
	if (s == first)
		return false;
	if (suffixes != NO_SUFFIX && *s) {
		uint64_t factor = suffix(*s++, suffixes == TIMES);
		if (!factor || __builtin_mul_overflow(n, factor, &n))
			return false;
	}
	*out = n;
	return !*s;
}

/* The index of `value` among "a|b|c", or -1. */
static int read_choice(const char *choices, const char *value)
{
	size_t n = strlen(value);
	int index = 0;
	for (const char *c = choices;; index++) {
		const char *end = c;
		while (*end && *end != '|')
			end++;
		if ((size_t)(end - c) == n && !memcmp(c, value, n))
			return index;
		if (!*end)
			return -1;
		c = end + 1;
	}
}

static void store(struct options *o, const struct option_row *row, uint64_t value)
{
	char *field = (char *)o + row->offset;
	if (row->room == sizeof(unsigned)) {
		unsigned v = (unsigned)value;
		memcpy(field, &v, sizeof(v));
	} else {
		memcpy(field, &value, sizeof(value));
	}
}

/* Reads and stores; NULL, or what is wrong with the value. */
static const char *set(struct options *o, const struct option_row *row, const char *value)
{
	uint64_t n;
	int index;
	switch (row->kind) {
	case OPTION_NUMBER:
		if (!read_number(value, NO_SUFFIX, false, &n))
			return "is not a number";
		if (n < row->low || n > row->high)
			return "is out of range";
		break;
	case OPTION_SIZE:
		if (!read_number(value, SIZES, false, &n))
			return "is not a size";
		break;
	case OPTION_SECONDS:
		if (!read_number(value, TIMES, false, &n))
			return "is not a time";
		if (n < row->low || n > row->high)
			return "is out of range";
		break;
	case OPTION_ADDRESS:
		if (!read_number(value, NO_SUFFIX, true, &n))
			return "is not an address";
		break;
	case OPTION_CHOICE:
		index = read_choice(row->choices, value);
		if (index < 0)
			return "is not a choice";
		n = (uint64_t)index;
		break;
	case OPTION_TEXT:
	default:
		if (strlen(value) >= row->room)
			return "is too long";
		memset((char *)o + row->offset, 0, row->room);
		memcpy((char *)o + row->offset, value, strlen(value));
		return NULL;
	}
	store(o, row, n);
	return NULL;
}

void options_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < option_count; i++)
		set(o, &option_table[i], option_table[i].fallback);
}

/* -- names that are near -- */

/* Levenshtein's distance between two names cut to NAME_ROOM: one row of the matrix at a time. */
static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
	unsigned row[NAME_ROOM + 1];
	an = an < NAME_ROOM ? an : NAME_ROOM;
	bn = bn < NAME_ROOM ? bn : NAME_ROOM;
	for (size_t j = 0; j <= bn; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= an; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= bn; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[bn];
}

/* A third of the letters wrong, and one more: "stres", "misuse" and "growt" find their option, "zebra" finds none. */
static unsigned too_far(size_t n)
{
	return (unsigned)(n / 3 + 2);
}

const struct option_row *options_nearest(const char *name)
{
	const struct option_row *nearest = NULL;
	unsigned best = too_far(strlen(name));
	for (size_t i = 0; i < option_count; i++) {
		unsigned d = distance(name, strlen(name), option_table[i].name, strlen(option_table[i].name));
		if (d < best) {
			best = d;
			nearest = &option_table[i];
		}
	}
	return nearest;
}

static void nearest_choice(const char *choices, const char *value, const char **found, size_t *found_length)
{
	unsigned best = too_far(strlen(value));
	*found = NULL;
	for (const char *c = choices; *c;) {
		size_t n = 0;
		while (c[n] && c[n] != '|')
			n++;
		unsigned d = distance(value, strlen(value), c, n);
		if (d < best) {
			best = d;
			*found = c;
			*found_length = n;
		}
		c += n + (c[n] == '|');
	}
}

/* -- complaints -- */

/* What a value should have been, for complaints and help. */
static void describe(char *buf, size_t cap, const struct option_row *row)
{
	switch (row->kind) {
	case OPTION_NUMBER:
		text_format(buf, cap, row->low == row->high ? "%lu" : "%lu..%lu", row->low, row->high);
		break;
	case OPTION_CHOICE:
		text_format(buf, cap, "%s", row->choices);
		break;
	case OPTION_SIZE:
		text_format(buf, cap, "%s", "a size such as 64m");
		break;
	case OPTION_SECONDS:
		text_format(buf, cap, "%s", "a time such as 60s or 10m");
		break;
	case OPTION_ADDRESS:
		text_format(buf, cap, "%s", "an address such as 0x280000001000");
		break;
	case OPTION_TEXT:
	default:
		text_format(buf, cap, "at most %zu bytes", row->room - 1);
	}
}

static void complain_value(const struct option_row *row, const char *value, const char *wrong, void (*complain)(const char *))
{
	char line[LINE_ROOM], meant[128];
	const char *near = NULL;
	size_t near_length = 0;
	describe(meant, sizeof(meant), row);
	if (row->kind == OPTION_CHOICE) {
		if (!strcmp(row->name, "mode") && !strcmp(value, "quarantine"))
			wrong = "is not in this version";
		nearest_choice(row->choices, value, &near, &near_length);
	}
	size_t n = text_format(line, sizeof(line), "option %s=%.*s %s: ", row->name, SHOWN, value, wrong);
	if (near)
		n += text_format(line + n, sizeof(line) - n, "nearest is \"%.*s\", ", (int)near_length, near);
	n += text_format(line + n, sizeof(line) - n, "%s is meant: ", meant);
	text_format(line + n, sizeof(line) - n, "%s is used", row->fallback[0] ? row->fallback : "none");
	make_printable(line);
	complain(line);
}

static void complain_name(const char *name, void (*complain)(const char *))
{
	char line[LINE_ROOM];
	const struct option_row *near = options_nearest(name);
	if (near)
		text_format(line, sizeof(line), "option \"%.*s\" is unknown: nearest is \"%s\": ignored", SHOWN, name, near->name);
	else
		text_format(line, sizeof(line), "option \"%.*s\" is unknown: no option is near, help=1 lists them: ignored", SHOWN, name);
	make_printable(line);
	complain(line);
}

static void complain_nothing(const char *line)
{
	(void)line;
}

/* -- parsing -- */

static const struct option_row *find_row(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (!strcmp(option_table[i].name, name))
			return &option_table[i];
	return NULL;
}

static bool is_separator(char c)
{
	return c == ':' || c == ',' || c == ' ' || c == '\t' || c == '\n';
}

/* The next item into name and value (NULL when it has no '='); what does not fit is cut. Returns what follows. */
static const char *next_item(const char *text, char *name, char *value, bool *has_value)
{
	size_t n = 0;
	*has_value = false;
	name[0] = value[0] = 0;
	for (; *text && !is_separator(*text); text++) {
		if (!*has_value && *text == '=') {
			*has_value = true;
			n = 0;
			continue;
		}
		size_t room = *has_value ? VALUE_ROOM : NAME_ROOM;
		if (n < room) {
			(*has_value ? value : name)[n++] = *text;
			(*has_value ? value : name)[n] = 0;
		}
	}
	return text;
}

/* false: a complaint was made. */
static bool take_item(struct options *o, const char *name, const char *value, bool has_value, void (*complain)(const char *))
{
	const struct option_row *row = find_row(name);
	if (!row) {
		complain_name(name, complain);
		return false;
	}
	bool is_switch = row->kind == OPTION_NUMBER && row->low == 0 && row->high == 1;
	if (!has_value && is_switch)
		value = "1";
	const char *wrong = !has_value && !is_switch ? "has no value" : set(o, row, value);
	if (!wrong)
		return true;
	complain_value(row, value, wrong, complain);
	set(o, row, row->fallback); /* as the line says, even if an earlier item had set it */
	return false;
}

int options_parse(struct options *o, const char *text, void (*complain)(const char *line))
{
	char name[NAME_ROOM + 1] = { 0 }, value[VALUE_ROOM + 1] = { 0 };
	bool has_value;
	int bad = 0;
	if (!complain)
		complain = complain_nothing;
	while (*text) {
		if (is_separator(*text)) {
			text++;
			continue;
		}
		text = next_item(text, name, value, &has_value);
		bad += !take_item(o, name, value, has_value, complain);
	}
	return bad;
}

void options_print_help(void)
{
	say_raw("cgc options, as CGC_OPTIONS=\"name=value:name=value\":\n");
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char meant[128];
		describe(meant, sizeof(meant), row);
		say_raw("  %-10s %s (%s; default %s)\n", row->name, row->help, meant, row->fallback[0] ? row->fallback : "none");
	}
}
