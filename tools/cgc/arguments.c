/* Reading a command line by a table. Every mistake is one line that says what would have been right. */
#include "arguments.h"
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct argument *table, size_t n, const char *usage, const char *more)
{
	printf("%s\n\n", usage);
	for (size_t i = 0; i < n; i++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", table[i].name, table[i].kind == ARGUMENT_SWITCH ? "" : "=",
		         table[i].kind == ARGUMENT_SWITCH ? "" : table[i].choices);
		printf("  %-26s %s\n", left, table[i].help);
	}
	printf("  %-26s %s\n", "--help", "this text");
	if (*more)
		printf("\n%s\n", more);
}

static bool take_time(const char *text, uint64_t *ns)
{
	static const struct { const char *unit; uint64_t seconds; } units[] = {
		{ "", 1 }, { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 },
	};
	char *end;
	if (*text < '0' || *text > '9')
		return false;
	unsigned long value = strtoul(text, &end, 10);
	for (size_t i = 0; i < NELEM(units); i++)
		if (!strcmp(end, units[i].unit) && value && value < 100000000) {
			*ns = value * units[i].seconds * 1000000000u;
			return true;
		}
	return false;
}

static bool take_choice(const char *choices, const char *text, unsigned *to)
{
	size_t n = strlen(text);
	unsigned place = 0;
	for (const char *c = choices; n; c += strcspn(c, "|"), place++) {
		c += *c == '|';
		if (strcspn(c, "|") == n && !strncmp(c, text, n)) {
			*to = place;
			return true;
		}
		if (!c[strcspn(c, "|")])
			return false;
	}
	return false;
}

static bool take_text(struct texts *texts, const char *value)
{
	const char **more = realloc((void *)texts->list, (texts->count + 1) * sizeof(*more));
	if (!more)
		return false;
	texts->list = more;
	texts->list[texts->count++] = value;
	return true;
}

/* false after one line of complaint. */
static bool take_value(const struct argument *a, const char *value)
{
	char *end;
	switch (a->kind) {
	case ARGUMENT_TEXT:
		if (*value)
			*(const char **)a->to = value;
		else
			complain("--%s has no value: write --%s=%s", a->name, a->name, a->choices);
		return *value != 0;
	case ARGUMENT_TEXTS:
		if (*value)
			return take_text(a->to, value);
		complain("--%s has no value: write --%s=%s", a->name, a->name, a->choices);
		return false;
	case ARGUMENT_NUMBER:
		*(size_t *)a->to = strtoul(value, &end, 10);
		if (*value >= '0' && *value <= '9' && !*end)
			return true;
		complain("--%s=%s is not a number: write --%s=%s", a->name, value, a->name, a->choices);
		return false;
	case ARGUMENT_TIME:
		if (take_time(value, a->to))
			return true;
		complain("--%s=%s is no time: write 90s, 10m, 2h or 1d", a->name, value);
		return false;
	case ARGUMENT_CHOICE:
		if (take_choice(a->choices, value, a->to))
			return true;
		complain("--%s=%s is unknown: one of %s is meant", a->name, value, a->choices);
		return false;
	case ARGUMENT_SWITCH:
	default:
		return false;
	}
}

static const struct argument *find(const struct argument *table, size_t n, const char *name, size_t size)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(table[i].name) == size && !strncmp(table[i].name, name, size))
			return &table[i];
	return NULL;
}

/* One option at argv[*i]; its value may be in argv[*i + 1]. */
static bool take_option(const struct argument *table, size_t n, int argc, char **argv, int *i)
{
	const char *text = argv[*i] + 2;
	size_t size = strcspn(text, "=");
	const struct argument *a = argv[*i][1] == '-' ? find(table, n, text, size) : NULL;
	if (!a) {
		complain("option %s is unknown to `cgc %s`: `cgc %s --help` lists its options", argv[*i], argv[0], argv[0]);
		return false;
	}
	if (a->kind == ARGUMENT_SWITCH) {
		if (text[size])
			complain("--%s takes no value: write --%s", a->name, a->name);
		else
			*(bool *)a->to = true;
		return !text[size];
	}
	if (text[size])
		return take_value(a, text + size + 1);
	if (*i + 1 < argc)
		return take_value(a, argv[++*i]);
	complain("--%s has no value: write --%s=%s", a->name, a->name, a->choices);
	return false;
}

int arguments_read(const struct argument *table, size_t n, int argc, char **argv, const char *usage, const char *more)
{
	int names = 0;
	bool options = true;
	for (int i = 1; i < argc; i++) {
		if (!options || argv[i][0] != '-' || !argv[i][1]) {
			argv[++names] = argv[i];
		} else if (!strcmp(argv[i], "--")) {
			options = false;
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			print_help(table, n, usage, more);
			return -2;
		} else if (!take_option(table, n, argc, argv, &i)) {
			return -1;
		}
	}
	return names;
}
