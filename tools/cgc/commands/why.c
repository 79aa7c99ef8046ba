/*
 * `cgc why`: who holds a block: the process itself looks for the path from a root to it and answers in lines. A site stands for the block that
 * its snapshot names as an example. The places where blocks were allocated come as module+offset; the snapshot has the modules' build ids,
 * so they are named as in reports.
 */
#include "client.h"
#include "commands.h"
#include "leaks.h"
#include "source.h"
#include "symbols/symbols.h"
#include "base/printable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"cgc why [OPTION...] PID ADDRESS|SITE\n"
	"\n"
	"Shows what keeps a block alive: the root, then field by field the way to it; or why nothing does.\n"
	"ADDRESS begins with 0x and may point into the block. SITE is the beginning of an id that `cgc leaks`\n"
	"prints; one of its blocks is taken.";

static bool is_address(const char *what) { return !strncmp(what, "0x", 2); }

/* false after one line. */
static bool read_address(const char *what, uint64_t *address)
{
	char *end;
	errno = 0;
	*address = strtoull(what, &end, 16);
	if (!*end && end > what + 2 && !errno)
		return true;
	complain("%s is no address: write 0x and up to 16 hexadecimal digits", what);
	return false;
}

/* false after one line. */
static bool find_address(const struct view *v, const char *what, uint64_t *address)
{
	const struct view_site *site = view_find(v, what);
	if (!site)
		return false;
	if (!site->example)
		complain("site %s has no block any more: name one by its address", what);
	*address = site->example;
	return site->example != 0;
}

/* ---- the answer ---- */

static const char allocated[] = "allocated at ";
enum { CALLS = 8 };

/* One place, "PATH+0xOFFSET" before ")" or " < ". NULL: there is none; else what follows it. */
static char *read_place(char *text, struct place *p)
{
	for (char *plus = strstr(text, "+0x"); plus; plus = strstr(plus + 1, "+0x")) {
		char *end;
		p->address = strtoull(plus + 3, &end, 16);
		if (end == plus + 3 || (*end != ')' && strncmp(end, " < ", 3) != 0) || memchr(text, '\n', (size_t)(plus - text)))
			continue;
		p->module = keep_clean(keep_text(text, (size_t)(plus - text)));
		return end;
	}
	return NULL;
}

/* The places behind `allocated`, innermost first; *end is the ")" behind them. */
static size_t read_places(char *text, struct place *list, char **end)
{
	size_t n = 0;
	for (*end = read_place(text, &list[0]); *end; *end = read_place(*end + 3, &list[n]))
		if (++n == CALLS || **end == ')')
			break;
	return *end && **end == ')' ? n : 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

/* Names of mappings and threads are the program's. */
static void print_clean(const char *text, size_t n)
{
	for (size_t i = 0, whole; i < n; i += whole + !whole) {
		whole = printable_length((const unsigned char *)text + i, n - i);
		if (whole)
			fwrite(text + i, 1, whole, stdout);
		else
			putchar(text[i] == '\n' ? '\n' : '?');
	}
}

static void print_places(const struct place *list, size_t n)
{
	fputs("allocated by ", stdout);
	for (size_t i = 0; i < n; i++)
		if (list[i].function[0])
			printf("%s%s", i ? " < " : "", list[i].function);
		else
			printf("%s%s+0x%" PRIx64, i ? " < " : "", last_part(list[i].module), list[i].address);
	if (list[0].file[0] && list[0].line)
		printf(", %s:%u", last_part(list[0].file), list[0].line);
	else if (list[0].function[0])
		printf(", %s+0x%" PRIx64, last_part(list[0].module), list[0].address);
}

/* The text is read twice: all places are named in one batch. */
static void print_answer(struct view *v, char *text, const struct symbol_choice *how)
{
	size_t room = 0, count = 0, shown = 0;
	char *end;
	for (char *at = text; (at = strstr(at, allocated)); at += strlen(allocated))
		room += CALLS;
	struct place *places = calloc(room + 1, sizeof(*places));
	for (char *at = text; places && (at = strstr(at, allocated)); at += strlen(allocated))
		count += read_places(at + strlen(allocated), &places[count], &end);
	if (places)
		symbols_name(v, places, count, how);
	for (char *at; places && (at = strstr(text, allocated)); text = end) {
		struct place again[CALLS];
		size_t n = read_places(at + strlen(allocated), again, &end);
		end = n ? end : at + strlen(allocated);
		print_clean(text, (size_t)((n ? at : end) - text));
		if (n)
			print_places(&places[shown], n);
		shown += n;
	}
	print_clean(text, strlen(text));
	free(places);
}

int command_why(int argc, char **argv)
{
	struct symbol_choice how = { 0 };
	const struct argument table[] = {
		{ "symbolizer", ARGUMENT_CHOICE, &how.source, SYMBOLIZER_NAMES, "who names functions; auto is the first that is installed" },
		{ "debuginfod", ARGUMENT_SWITCH, &how.debuginfod, "", "fetch missing debug files by debuginfod-find" },
	};
	int pid, status, names = arguments_read(table, NELEM(table), argc, argv, usage, "");
	uint64_t address = 0;
	char request[64];
	struct answer a;
	struct view v;
	if (names == -2)
		return output_done();
	if (names >= 0 && names != 2)
		complain("a process and an address or site are needed: cgc why PID ADDRESS|SITE");
	else if (names == 2 && !source_is_process(argv[1], &pid))
		complain("%s is no process: only a running program can say what holds a block: `cgc list` shows them", argv[1]);
	if (names != 2 || !source_is_process(argv[1], &pid) || (is_address(argv[2]) && !read_address(argv[2], &address)))
		return STATUS_USAGE;
	struct view_source *sources = sources_open(argv + 1, 1, "snapshot", &status);
	if (!sources || !view_make(&v, sources, 1, 0) || (!is_address(argv[2]) && !find_address(&v, argv[2], &address)))
		return STATUS_USAGE;
	snprintf(request, sizeof(request), "why 0x%" PRIx64, address);
	char *text = client_ask(pid, request, &a) ? client_text(&a) : NULL;
	if (!text) {
		complain("%s", a.error);
		return STATUS_USAGE;
	}
	print_answer(&v, text, &how);
	free(text);
	return output_done();
}
