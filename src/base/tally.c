/* Writing and reading the line that ends an audit. One format, here and nowhere else; reading skips words and takes numbers. */
#include "base/tally.h"
#include "base/text.h"

#include <string.h>

const char *tally_grouped(char buf[32], uint64_t n)
{
	char *at = buf + 31;
	unsigned digits = 0;
	*at = 0;
	do {
		if (digits && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + n % 10);
		digits++;
	} while (n /= 10);
	return at;
}

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

size_t tally_text(char *buf, size_t cap, const struct tally *t)
{
	char c[32], j[32], y[32], p[32], of[48] = "";
	bool few = !t->contradictions && t->judgements < TALLY_ENOUGH;
	if (t->processes > 1)
		text_format(of, sizeof of, " of %s processes", tally_grouped(p, t->processes));
	return text_format(buf, cap, "audit: %s: %s contradiction%s in %s judgement%s over %s cycle%s%s%s",
	                   t->contradictions ? "not safe" : few ? "not enough evidence" : "safe", tally_grouped(c, t->contradictions),
	                   plural(t->contradictions), tally_grouped(j, t->judgements), plural(t->judgements), tally_grouped(y, t->cycles),
	                   plural(t->cycles), of, few ? ": fewer than 10,000 say little: run it longer, with more to do, or with stress=10" : "");
}

/* The next number with commas. false: there is none. */
static bool take(const char **at, uint64_t *n)
{
	const char *p = *at;
	while (*p && (*p < '0' || *p > '9'))
		p++;
	if (!*p)
		return false;
	for (*n = 0; (*p >= '0' && *p <= '9') || *p == ','; p++)
		if (*p != ',')
			*n = *n * 10 + (uint64_t)(*p - '0');
	*at = p;
	return true;
}

bool tally_parse(const char *line, struct tally *t)
{
	static const char *const verdicts[] = { "safe: ", "not safe: ", "not enough evidence: " };
	static const char start[] = "audit: ";
	if (!strncmp(line, "cgc: ", 5))
		line += 5;
	if (strncmp(line, start, sizeof start - 1) != 0)
		return false;
	line += sizeof start - 1;
	for (size_t i = 0; i < NELEM(verdicts); i++)
		if (!strncmp(line, verdicts[i], strlen(verdicts[i]))) {
			line += strlen(verdicts[i]);
			t->processes = 1;
			return *line >= '0' && *line <= '9' && take(&line, &t->contradictions) && take(&line, &t->judgements) && take(&line, &t->cycles);
		}
	return false;
}
