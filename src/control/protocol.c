/*
 * Requests as text: words joined by single blanks (control.h lists them). What comes may be anything: bytes are compared, never
 * copied or printed.
 */
#include "control/parts.h"

struct words {
	const char *at, *end;
};

/* The next word; false: there is none. */
static bool next(struct words *w, const char **word, size_t *n)
{
	if (w->at >= w->end)
		return false;
	*word = w->at;
	while (w->at < w->end && *w->at != ' ')
		w->at++;
	*n = (size_t)(w->at - *word);
	w->at++; /* the blank */
	return true;
}

static bool is(const char *word, size_t n, const char *name) { return n == __builtin_strlen(name) && __builtin_memcmp(word, name, n) == 0; }

/* 0x and at most 16 digits. */
static bool read_address(const char *s, size_t n, uintptr_t *address)
{
	if (n < 3 || n > 18 || s[0] != '0' || (s[1] | 0x20) != 'x')
		return false;
	*address = 0;
	for (size_t i = 2; i < n; i++) {
		char c = s[i] | 0x20;
		unsigned digit = s[i] >= '0' && s[i] <= '9' ? (unsigned)(s[i] - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
		if (digit == 16)
			return false;
		*address = *address << 4 | digit;
	}
	return true;
}

static const char *read_snapshot(struct words *w, struct request *r)
{
	const char *word;
	size_t n;
	while (next(w, &word, &n)) {
		if (is(word, n, "blocks"))
			r->blocks = true;
		else if (is(word, n, "reachable"))
			r->reachable = true;
		else
			return "snapshot takes the words blocks and reachable";
	}
	return NULL;
}

void request_read(const char *line, size_t n, struct request *r)
{
	struct words w = { line, line + n };
	const char *word = "";
	size_t size = 0;
	*r = (struct request){ .kind = REQUEST_WRONG };
	next(&w, &word, &size);
	if (is(word, size, "snapshot")) {
		r->kind = REQUEST_SNAPSHOT;
		r->wrong = read_snapshot(&w, r);
	} else if (is(word, size, "why")) {
		r->kind = REQUEST_WHY;
		if (!next(&w, &word, &size) || !read_address(word, size, &r->address) || next(&w, &word, &size))
			r->wrong = "why takes one address, as 0x280000001000";
	} else if (is(word, size, "hello")) {
		r->kind = REQUEST_HELLO;
		if (next(&w, &word, &size))
			r->wrong = "hello takes no words";
	} else {
		r->wrong = "this version knows the requests hello, snapshot and why";
	}
	if (r->wrong)
		r->kind = REQUEST_WRONG;
}
