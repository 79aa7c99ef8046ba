/*
 * CGC_OPTIONS: any text. Every field must hold a value that its row allows, each bad item must be answered with one
 * printable line, and a second parse of the same text must give the same. fault='s own grammar is parsed beside it.
 */
#include "base/fault.h"
#include "base/options.h"
#include "fuzz.h"

static int lines;

static void on_complaint(const char *line)
{
	lines++;
	claim(*line && strlen(line) < 512, "a complaint of %zu bytes", strlen(line));
	for (; *line; line++)
		claim((unsigned char)*line >= ' ' && *line != 0x7f, "a byte that a terminal acts upon: 0x%x", *line);
}

static void check_row(const struct options *o, const struct option_row *row)
{
	const char *field = (const char *)o + row->offset;
	uint64_t n = 0;
	if (row->kind == OPTION_TEXT) {
		claim(memchr(field, 0, row->room), "%s has no end", row->name);
		return;
	}
	if (row->kind != OPTION_NUMBER && row->kind != OPTION_CHOICE)
		return;
	memcpy(&n, field, row->room); /* little endian, as every machine of ours */
	if (row->kind == OPTION_NUMBER) {
		claim(n >= row->low && n <= row->high, "%s is %lu", row->name, n);
	} else {
		uint64_t choices = 1;
		for (const char *c = row->choices; *c; c++)
			choices += *c == '|';
		claim(n < choices, "%s is choice %lu", row->name, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = { bytes, bytes + n };
	char *text = take_string(&in);
	struct options first, second;
	options_defaults(&first);
	lines = 0;
	int bad = options_parse(&first, text, on_complaint);
	claim(bad == lines, "%d bad items, %d complaints", bad, lines);
	for (size_t i = 0; i < option_count; i++)
		check_row(&first, &option_table[i]);
	options_defaults(&second);
	claim(options_parse(&second, text, NULL) == bad, "the second parse finds more or less wrong");
	claim(!memcmp(&first, &second, sizeof first), "the second parse gives other options");
	const struct option_row *near = options_nearest(text);
	claim(!near || near->name, "the nearest option has no name");
	const char *wrong = fault_parse(text);
	claim(!wrong || !fault_armed, "a bad fault= was armed");
	fault_parse("");
	free(text);
	return 0;
}
