/*
 * A suppression file of any contents, and a stack of any names: rules stay inside the text, each bad line is one whole line for the screen,
 * and matching ends. The first bytes choose the stack's names from the text itself, so that patterns meet what they match.
 */
#include "base/suppress.h"
#include "fuzz.h"

enum { RULES = 32, FRAMES = 6, NAME = 24 };

static int complaints;
static void complain(const char *line)
{
	complaints++;
	claim(strlen(line) > 0 && strlen(line) < 400, "a complaint of %zu bytes", strlen(line));
	for (const char *c = line; *c; c++)
		claim((unsigned char)*c >= ' ' && *c != 0x7f, "a complaint holds byte %02x", *c);
}

static void check_rule(const struct suppress *s, const struct suppress_rule *rule)
{
	claim(rule->name_size && rule->name + rule->name_size <= s->size, "name %u+%u", rule->name, rule->name_size);
	claim(rule->body_size && rule->body + rule->body_size <= s->size, "body %u+%u", rule->body, rule->body_size);
	claim(rule->form <= 2 && rule->kinds < 16 && rule->line, "form %u, kinds %u, line %u", rule->form, rule->kinds, rule->line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const char *const known[] = { "malloc", "_Znwm", "/usr/lib/libc.so.6", "a", "" };
	char names[3 * FRAMES][NAME];
	struct suppress_frame frames[FRAMES];
	struct suppress_rule rules[RULES];
	struct input in = { bytes, bytes + n };
	size_t places[3 * FRAMES];
	for (unsigned i = 0; i < 3 * FRAMES; i++)
		places[i] = take_byte(&in);
	n = (size_t)(in.end - in.p);
	char *text = malloc(n ? n : 1); /* a block of its own size: a read behind its end shows */
	if (!text)
		abort();
	memcpy(text, in.p, n);
	for (unsigned i = 0; i < 3 * FRAMES; i++) {
		memset(names[i], 0, NAME);
		if (places[i] < NELEM(known) || places[i] >= n)
			strncpy(names[i], known[places[i] % NELEM(known)], NAME - 1);
		else
			for (unsigned k = 0; k < NAME - 1 && places[i] + k < n && text[places[i] + k] != '\n'; k++)
				names[i][k] = text[places[i] + k];
	}
	for (unsigned i = 0; i < FRAMES; i++)
		frames[i] = (struct suppress_frame){ names[3 * i], names[3 * i + 1], names[3 * i + 2] };
	struct suppress s = { text, n, rules, 0, RULES };
	complaints = 0;
	claim(suppress_parse(&s, "file", text, n, complain) == complaints, "%d complaints", complaints);
	for (size_t i = 0; i < s.count; i++)
		check_rule(&s, &rules[i]);
	for (unsigned kind = 0; kind < 4; kind++) {
		const struct suppress_rule *rule = suppress_match(&s, frames, FRAMES, kind);
		claim(!rule || (rule >= rules && rule < rules + s.count && rule->kinds >> kind & 1), "a rule of another kind");
		suppress_match(&s, frames, 0, kind);
	}
	free(text);
	return 0;
}
