/*
 * Reads what llvm-symbolizer and addr2line say. Both are asked to print each address before its answer, so that an answer is never
 * taken for another address's: whatever does not fit ends the reading, and the rest is named by tables.
 *
 *   llvm-symbolizer --print-address     "FILE" 0xADDRESS  ->  0xADDRESS / function / file:line:column / ... / empty line
 *   addr2line -a -f -i -C -e FILE       0xADDRESS         ->  0xADDRESS / function / file:line / ...
 */
#include "symbols.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A growing text. Without memory it stays short, and a batch that is cut is answered in part. */
struct text { char *at; size_t size, room; };

static void append(struct text *t, const char *s)
{
	size_t n = strlen(s);
	if (t->size + n + 1 > t->room) {
		size_t room = 2 * t->room + n + 4096;
		char *more = realloc(t->at, room);
		if (!more)
			return;
		t->at = more;
		t->room = room;
	}
	memcpy(t->at + t->size, s, n + 1);
	t->size += n;
}

/* The line at *at, which is made a string; NULL: no more. */
static char *next_line(char **at)
{
	char *line = *at;
	if (!line || !*line)
		return NULL;
	size_t n = strcspn(line, "\n");
	*at = line + n + (line[n] == '\n');
	line[n] = 0;
	return line;
}

static bool is_address(const char *line, uint64_t *address)
{
	char *end;
	if (line[0] != '0' || line[1] != 'x')
		return false;
	*address = strtoull(line, &end, 16);
	return !*end;
}

/* Takes ":123" or ":?" off the end. false: there is none. */
static bool take_number(char *text, unsigned *number)
{
	char *colon = strrchr(text, ':');
	if (!colon || (strspn(colon + 1, "0123456789") != strlen(colon + 1) && strcmp(colon + 1, "?") != 0) || !colon[1])
		return false;
	*number = (unsigned)strtoul(colon + 1, NULL, 10);
	*colon = 0;
	return true;
}

/* "file:line:column", "file:line", "file:line (discriminator 3)", "??:0", "??:?". */
static void read_place(char *text, struct call *c)
{
	char *more = strstr(text, " (discriminator");
	unsigned last = 0, before = 0;
	if (more)
		*more = 0;
	if (take_number(text, &last) && take_number(text, &before)) {
		c->line = before;
		c->column = last;
	} else {
		c->line = last;
	}
	bool known = text[0] && strcmp(text, "??") != 0 && strcmp(text, "?") != 0;
	c->file = known ? keep_clean(text) : "";
	if (!known)
		c->line = c->column = 0;
}

static void add_call(struct code *code, const char *function, char *place)
{
	struct call *more = realloc(code->calls, (code->call_count + 1) * sizeof(*more));
	if (!more)
		return;
	code->calls = more;
	struct call *c = &more[code->call_count++];
	*c = (struct call){ .function = strcmp(function, "??") != 0 ? keep_clean(function) : "" };
	read_place(place, c);
}

/* Answers for codes[0..n) of those that `asked` says, in order. */
static void read_answers(char *text, struct code *const *codes, size_t n)
{
	char *at = text, *line = next_line(&at);
	for (size_t i = 0; i < n && line; i++) {
		uint64_t address;
		if (!is_address(line, &address) || address != codes[i]->address)
			return;
		while ((line = next_line(&at)) && !is_address(line, &address)) {
			char *place = *line ? next_line(&at) : NULL;
			if (place)
				add_call(codes[i], line, place);
		}
		/* A tool that knows nothing says so in one pair. */
		if (codes[i]->call_count == 1 && !codes[i]->calls[0].function[0])
			codes[i]->call_count = 0;
	}
}

/* Can the tool be given this name in its input, which is made of lines with quotes? */
static bool can_be_asked(const struct code *c) { return c->object && c->object->file && !strpbrk(c->object->file, "\"\n\\"); }

static void ask_llvm(const char *tool, struct code *codes, size_t count)
{
	const char *const argv[] = { tool, "--print-address", NULL };
	struct code **asked = calloc(count + 1, sizeof(void *));
	struct text input = { 0 };
	size_t n = 0;
	for (size_t i = 0; asked && i < count; i++) {
		char address[32];
		if (!can_be_asked(&codes[i]))
			continue;
		snprintf(address, sizeof(address), "\" 0x%" PRIx64 "\n", codes[i].address);
		append(&input, "\"");
		append(&input, codes[i].object->file);
		append(&input, address);
		asked[n++] = &codes[i];
	}
	char *answer = n ? tool_run(argv, input.at, input.size, false) : NULL;
	if (answer)
		read_answers(answer, asked, n);
	free(answer);
	free(input.at);
	free((void *)asked);
}

/* One process a file: it takes one on its command line. */
static void ask_addr2line(const char *tool, struct code *codes, size_t count)
{
	for (size_t first = 0, end; first < count; first = end) {
		struct text input = { 0 };
		for (end = first; end < count && codes[end].object == codes[first].object; end++) {
			char address[32];
			snprintf(address, sizeof(address), "0x%" PRIx64 "\n", codes[end].address);
			append(&input, address);
		}
		if (can_be_asked(&codes[first])) {
			const char *const argv[] = { tool, "-a", "-f", "-i", "-C", "-e", codes[first].object->file, NULL };
			char *answer = tool_run(argv, input.at, input.size, false);
			struct code **asked = calloc(end - first, sizeof(void *));
			for (size_t i = first; asked && i < end; i++)
				asked[i - first] = &codes[i];
			if (answer && asked)
				read_answers(answer, asked, end - first);
			free((void *)asked);
			free(answer);
		}
		free(input.at);
	}
}

void lines_ask(struct code *codes, size_t count, unsigned source)
{
	const char *tool = NULL;
	if ((source == SYMBOLS_AUTO || source == SYMBOLS_LLVM) && (tool = tool_find("llvm-symbolizer")))
		ask_llvm(tool, codes, count);
	else if ((source == SYMBOLS_AUTO || source == SYMBOLS_ADDR2LINE) && (tool = tool_find("addr2line")))
		ask_addr2line(tool, codes, count);
	free((void *)(uintptr_t)tool);
}

/* ---- mangled names ---- */

static bool is_mangled(const char *name) { return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) || !strncmp(name, "__Z", 3); }

void lines_demangle(struct code *codes, size_t count)
{
	struct text input = { 0 };
	const char *tool = NULL;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < codes[i].call_count; k++)
			if (is_mangled(codes[i].calls[k].function)) {
				append(&input, codes[i].calls[k].function);
				append(&input, "\n");
			}
	if (input.size && !(tool = tool_find("c++filt")))
		tool = tool_find("llvm-cxxfilt");
	const char *const argv[] = { tool, NULL };
	char *answer = tool ? tool_run(argv, input.at, input.size, false) : NULL, *at = answer, *line;
	for (size_t i = 0; answer && i < count; i++)
		for (size_t k = 0; k < codes[i].call_count; k++)
			if (is_mangled(codes[i].calls[k].function) && (line = next_line(&at)) && *line)
				codes[i].calls[k].function = keep_clean(line);
	free(answer);
	free(input.at);
	free((void *)(uintptr_t)tool);
}
