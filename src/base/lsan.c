/*
 * LSAN_OPTIONS, and what the program's __lsan_default_options() returns: those of LeakSanitizer's flags that mean something here.
 *
 *   exitcode, log_path                         the options of these names; log_path gets ".PID" at its end, as there
 *   suppressions, print_suppressions           the options of these names
 *   max_leaks                                  leaks that the text lists
 *   report_objects=1                           the lost blocks themselves, behind the stack that allocated them
 *   detect_leaks=0, leak_check_at_exit=0       no report at all, or none at exit
 *   use_globals, use_stacks, use_registers, use_tls=0     kinds of roots that are left out
 *   use_unaligned=1                            words at multiples of 4 count (align=4; LeakSanitizer takes every byte)
 *
 * All others are skipped without a word: programs share the variable with LeakSanitizer, which knows more. Values may be quoted by
 * ' or ", as there. A value that can't be read leaves the option alone.
 */
#include "base/options.h"
#include "base/text.h"

#include <string.h>

enum flag_kind { FLAG_ON, FLAG_OFF, FLAG_NUMBER, FLAG_LOG, FLAG_FILE };

static const struct {
	const char *name;
	enum flag_kind kind; /* FLAG_OFF: the field says the contrary */
	size_t offset;
} flags[] = {
	{ "exitcode", FLAG_NUMBER, offsetof(struct options, exitcode) },
	{ "log_path", FLAG_LOG, 0 },
	{ "suppressions", FLAG_FILE, 0 },
	{ "print_suppressions", FLAG_ON, offsetof(struct options, print_suppressions) },
	{ "max_leaks", FLAG_NUMBER, offsetof(struct options, lsan.max_leaks) },
	{ "report_objects", FLAG_ON, offsetof(struct options, lsan.objects) },
	{ "detect_leaks", FLAG_OFF, offsetof(struct options, lsan.off) },
	{ "leak_check_at_exit", FLAG_OFF, offsetof(struct options, lsan.not_at_exit) },
	{ "use_globals", FLAG_OFF, offsetof(struct options, lsan.no_globals) },
	{ "use_stacks", FLAG_OFF, offsetof(struct options, lsan.no_stacks) },
	{ "use_registers", FLAG_OFF, offsetof(struct options, lsan.no_registers) },
	{ "use_tls", FLAG_OFF, offsetof(struct options, lsan.no_tls) },
	{ "use_unaligned", FLAG_ON, offsetof(struct options, align) },
};

struct piece {
	const char *at;
	size_t size;
};

static bool is(struct piece p, const char *word) { return strlen(word) == p.size && memcmp(p.at, word, p.size) == 0; }

static bool read_switch(struct piece p, unsigned *out)
{
	if (is(p, "1") || is(p, "yes") || is(p, "true"))
		*out = 1;
	else if (is(p, "0") || is(p, "no") || is(p, "false"))
		*out = 0;
	else
		return false;
	return true;
}

static bool read_count(struct piece p, unsigned *out)
{
	uint64_t n = 0;
	for (size_t i = 0; i < p.size; i++) {
		unsigned digit = (unsigned)(p.at[i] - '0');
		if (digit > 9 || n > UINT32_MAX / 10)
			return false;
		n = 10 * n + digit;
	}
	*out = (unsigned)n;
	return p.size != 0;
}

/* stdout is no place of ours: standard error then. */
static void set_log(struct options *o, struct piece p)
{
	if (is(p, "stderr") || is(p, "stdout"))
		o->log_path[0] = 0;
	else if (p.size + 4 < sizeof o->log_path)
		text_format(o->log_path, sizeof o->log_path, "%.*s.%%p", (int)p.size, p.at);
}

static void set_file(struct options *o, struct piece p)
{
	if (p.size < sizeof o->suppressions)
		text_format(o->suppressions, sizeof o->suppressions, "%.*s", (int)p.size, p.at);
}

static void set_flag(struct options *o, struct piece name, struct piece value)
{
	for (size_t i = 0; i < NELEM(flags); i++) {
		unsigned n;
		if (!is(name, flags[i].name))
			continue;
		if (flags[i].kind == FLAG_LOG) {
			set_log(o, value);
		} else if (flags[i].kind == FLAG_FILE) {
			set_file(o, value);
		} else if (flags[i].kind == FLAG_NUMBER ? read_count(value, &n) : read_switch(value, &n)) {
			n = flags[i].kind == FLAG_OFF ? !n : n;
			memcpy((char *)o + flags[i].offset, &n, sizeof n);
		}
		return;
	}
}

static bool separates(char c) { return c == ' ' || c == ',' || c == ':' || c == '\n' || c == '\t' || c == '\r'; }

void options_parse_lsan(struct options *o, const char *text)
{
	while (*text) {
		struct piece name = { text, 0 }, value = { NULL, 0 };
		if (separates(*text)) {
			text++;
			continue;
		}
		while (text[name.size] && text[name.size] != '=' && !separates(text[name.size]))
			name.size++;
		text += name.size;
		if (*text != '=')
			continue;
		const char quote = text[1] == '\'' || text[1] == '"' ? text[1] : 0;
		value.at = text + (quote ? 2 : 1);
		while (value.at[value.size] && (quote ? value.at[value.size] != quote : !separates(value.at[value.size])))
			value.size++;
		text = value.at + value.size + (quote && value.at[value.size]);
		set_flag(o, name, value);
	}
}
