/*
 * Test-only failures: which points fail, and at which of their visits.
 *
 * Each point has a visit counter and a window [from, to] of visits that fail: NAME is [1, all], NAME@3 is [3, 3],
 * NAME@3.. is [3, all]. The windows are written once at start, before `fault_armed`, and are constant then; the counter
 * is an atomic add, so that exactly one visit is "the Nth" whatever the threads do.
 */
#include "base/fault.h"

#include <string.h>

static const char *const names[FAULT_COUNT] = {
#define X(name) #name,
	FAULT_POINTS(X)
#undef X
};

static STEADY struct {
	uint64_t from, to; /* visits that fail; from 0: none */
	uint64_t visits;   /* atomic */
} points[FAULT_COUNT];

bool fault_armed;
static uint64_t hits; /* atomic */
uint64_t fault_hits(void) { return load_relaxed(&hits); }

/* Uninstrumented: the stop handler calls it, also on threads that TSan made for itself and keeps no shadow stack for. */
__attribute__((no_sanitize("thread", "address"))) bool fault_hit(enum fault_point p)
{
	if (!points[p].from)
		return false;
	uint64_t visit = 1 + add_relaxed(&points[p].visits, 1);
	if (visit < points[p].from || visit > points[p].to)
		return false;
	add_relaxed(&hits, 1);
	return true;
}

static int find_point(const char *name, size_t n)
{
	for (int i = 0; i < FAULT_COUNT; i++)
		if (strlen(names[i]) == n && !memcmp(names[i], name, n))
			return i;
	return -1;
}

/* "3" or "3..": moves *s behind it. */
static bool read_window(const char **s, uint64_t *from, uint64_t *to)
{
	const char *p = *s;
	uint64_t n = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > UINT64_MAX / 20)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (p == *s || !n)
		return false;
	bool open_ended = p[0] == '.' && p[1] == '.';
	*from = n;
	*to = open_ended ? UINT64_MAX : n;
	*s = open_ended ? p + 2 : p;
	return true;
}

static const char *read_items(const char *s)
{
	while (*s) {
		size_t n = 0;
		while (s[n] && s[n] != '@' && s[n] != '/')
			n++;
		int point = find_point(s, n);
		if (point < 0)
			return "no failure has this name";
		uint64_t from = 1, to = UINT64_MAX;
		s += n;
		if (*s == '@') {
			s++;
			if (!read_window(&s, &from, &to))
				return "after @ a count from 1 is meant";
		}
		if (*s == '/' && s[1])
			s++;
		else if (*s)
			return "NAME@N or NAME@N.. is meant, joined by /";
		points[point].from = from;
		points[point].to = to;
	}
	return NULL;
}

const char *fault_parse(const char *text)
{
	memset(points, 0, sizeof(points));
	const char *wrong = read_items(text);
	if (wrong)
		memset(points, 0, sizeof(points)); /* half of what was asked for would test something else */
	fault_armed = !wrong && *text;
	return wrong;
}
