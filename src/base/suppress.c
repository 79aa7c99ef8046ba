/*
 * Suppressions: three grammars in one text, and matching a stack against them.
 *
 *   leak:PATTERN     LeakSanitizer's: any frame's function, source file or module holds the pattern
 *   only:PATTERN     ours: once there is one, a stack that none of them matches is left out
 *   { ... }          valgrind's, as --gen-suppressions writes them:
 *
 *       {
 *          a name
 *          Memcheck:Leak
 *          match-leak-kinds: definite,possible
 *          fun:malloc
 *          ...
 *          obj:*libfoo.so*
 *       }
 *
 * valgrind compares its lines with the innermost frames, one by one; "..." stands for any number of frames, and what lies further out
 * does not matter. Its stacks begin in the allocator (fun:malloc), ours with who called it, so a first line that an allocator's name
 * matches also stands for the frame that we leave out. Blocks of other tools and kinds (Memcheck:Cond, Helgrind:Race) are skipped: such
 * files are shared.
 *
 * Rules are offsets into the text and lines are cut anew at each match: no allocation. Both kinds of pattern go through one matcher
 * that remembers the last star only, so no text takes more than pattern times text steps.
 */
#include "base/suppress.h"
#include "base/text.h"

#include <string.h>

enum { FORM_LEAK, FORM_VALGRIND, FORM_ONLY };
enum { SHOWN = 60, LINE_ROOM = 320, ALL_KINDS = 15, TEXT_MOST = 1 << 30 };

/* A piece of the text, blanks around it cut off. */
struct piece {
	const char *at;
	size_t size;
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

static struct piece trimmed(const char *from, const char *end)
{
	while (from < end && is_blank(*from))
		from++;
	while (end > from && is_blank(end[-1]))
		end--;
	return (struct piece){ from, (size_t)(end - from) };
}

static bool is(struct piece p, const char *word) { return p.size == strlen(word) && memcmp(p.at, word, p.size) == 0; }

static bool begins(struct piece p, const char *word, struct piece *rest)
{
	const size_t n = strlen(word);
	if (p.size < n || memcmp(p.at, word, n) != 0)
		return false;
	*rest = trimmed(p.at + n, p.at + p.size);
	return true;
}

/* ---- patterns ---- */

struct pattern {
	const char *at;
	size_t size;
	bool open_start, open_end; /* anything may stand before, behind */
	bool any_char;             /* ? is any one character */
};

/* On a mismatch the last star takes one character more; a star before it has nothing to gain. */
static bool matches(const struct pattern *p, const char *text)
{
	size_t i = 0, star = p->open_start ? 0 : SIZE_MAX;
	const char *from = text;
	for (;;) {
		if (i < p->size && p->at[i] == '*') {
			star = ++i;
			from = text;
			continue;
		}
		if (i == p->size && (p->open_end || !*text))
			return true;
		if (i < p->size && *text && (p->at[i] == *text || (p->any_char && p->at[i] == '?'))) {
			i++;
			text++;
			continue;
		}
		if (star == SIZE_MAX || !*from)
			return false;
		i = star;
		text = ++from;
	}
}

bool suppress_pattern(const char *pattern, size_t size, const char *text)
{
	struct pattern p = { pattern, size, .open_start = true, .open_end = true };
	if (!*text)
		return false;
	if (p.size && *p.at == '^') {
		p.open_start = false;
		p.at++;
		p.size--;
	}
	const char *end = memchr(p.at, '$', p.size);
	if (end) { /* what stands behind it says nothing, as in LeakSanitizer */
		p.open_end = false;
		p.size = (size_t)(end - p.at);
	}
	return matches(&p, text);
}

static bool matches_whole(struct piece p, const char *text)
{
	return matches(&(struct pattern){ p.at, p.size, .any_char = true }, text);
}

/* ---- reading ---- */

struct reader {
	struct suppress *s;
	const char *file;
	const char *at, *end;
	uint32_t line;
	int bad;
	bool full;
	void (*complain)(const char *line);
};

/* The next line that is neither empty nor a comment. false: the end. */
static bool next_line(struct reader *r, struct piece *line)
{
	while (r->at < r->end) {
		const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
		stop = stop ? stop : r->end;
		*line = trimmed(r->at, stop);
		r->at = stop < r->end ? stop + 1 : stop;
		r->line++;
		if (line->size && *line->at != '#')
			return true;
	}
	return false;
}

static void complain_at(struct reader *r, uint32_t number, struct piece what, const char *wrong)
{
	char line[LINE_ROOM];
	r->bad++;
	const int size = (int)(what.size < SHOWN ? what.size : SHOWN);
	text_format(line, sizeof line, "suppressions %s, line %u: \"%.*s\" %s", r->file, number, size, what.at, wrong);
	for (char *c = line; *c; c++) /* for people's screens */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	r->complain(line);
}

/* NULL: no room. */
static struct suppress_rule *add(struct reader *r, uint32_t line, struct piece name)
{
	struct suppress *s = r->s;
	if (s->count == s->room) {
		if (!r->full)
			complain_at(r, line, name, "has no room, nor has what follows: fewer rules are meant");
		r->full = true;
		return NULL;
	}
	struct suppress_rule *rule = &s->rules[s->count++];
	*rule = (struct suppress_rule){ .line = line, .kinds = ALL_KINDS };
	rule->name = (uint32_t)(name.at - s->text);
	rule->name_size = (uint32_t)name.size;
	return rule;
}

static void read_pattern(struct reader *r, struct piece line, struct piece pattern, uint8_t form)
{
	if (!pattern.size) {
		complain_at(r, r->line, line, "has no pattern: leak:FUNCTION is meant, * for everything: ignored");
		return;
	}
	struct suppress_rule *rule = add(r, r->line, form == FORM_ONLY ? line : pattern);
	if (!rule)
		return;
	rule->form = form;
	rule->body = (uint32_t)(pattern.at - r->s->text);
	rule->body_size = (uint32_t)pattern.size;
}

/* "definite,possible" as bits; 0: it makes no sense. */
static uint8_t read_kinds(struct piece list)
{
	static const char *const names[] = { "definite", "indirect", "possible", "reachable" };
	uint8_t kinds = 0;
	if (is(list, "all"))
		return ALL_KINDS;
	for (const char *at = list.at, *end = list.at + list.size; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct piece word = trimmed(at, comma ? comma : end);
		unsigned i = 0;
		while (i < NELEM(names) && !is(word, names[i]))
			i++;
		if (i == NELEM(names))
			return 0;
		kinds |= (uint8_t)(1u << i);
		at = comma ? comma + 1 : end;
	}
	return kinds;
}

/* "Memcheck:Leak", "Helgrind,Memcheck:Leak". *other: it is a line for something else. */
static bool is_leak_kind(struct piece line, bool *other)
{
	const char *colon = memchr(line.at, ':', line.size);
	*other = colon != NULL;
	if (!colon || !is(trimmed(colon + 1, line.at + line.size), "Leak"))
		return false;
	for (const char *at = line.at; at < colon;) {
		const char *comma = memchr(at, ',', (size_t)(colon - at));
		if (is(trimmed(at, comma ? comma : colon), "Memcheck"))
			return true;
		at = comma ? comma + 1 : colon;
	}
	return false;
}

static const char *wrong_frame(struct piece line)
{
	struct piece rest;
	if (is(line, "..."))
		return NULL;
	if (begins(line, "fun:", &rest) || begins(line, "obj:", &rest))
		return rest.size ? NULL : "has no pattern: the rule is ignored";
	if (begins(line, "src:", &rest))
		return memchr(rest.at, ':', rest.size) ? "names a line number, which is not known here: src:FILE is meant: the rule is ignored" : NULL;
	return "is no line of a rule: fun:, obj:, src:, ..., match-leak-kinds: and } are meant: the rule is ignored";
}

static void skip_block(struct reader *r)
{
	struct piece line;
	while (next_line(r, &line) && !is(line, "}"))
		;
}

/* The rest of a block whose head was good, up to its }: where the frames begin and end. false: a complaint was made. */
static bool read_body(struct reader *r, struct piece name, uint8_t *kinds, struct piece *body)
{
	struct piece line, list;
	uint32_t frames = 0;
	while (next_line(r, &line)) {
		const char *wrong = NULL;
		if (is(line, "}")) {
			if (!frames)
				complain_at(r, r->line, name, "has no frame: fun:, obj: or ... is meant: the rule is ignored");
			return frames != 0;
		}
		if (begins(line, "match-leak-kinds:", &list)) {
			*kinds = is(list, "none") ? 0 : read_kinds(list);
			wrong = *kinds || is(list, "none") ? NULL : "is not a list of definite, indirect, possible, reachable: the rule is ignored";
		} else {
			wrong = wrong_frame(line);
			body->at = frames++ ? body->at : line.at;
			body->size = (size_t)(line.at + line.size - body->at);
		}
		if (wrong) {
			complain_at(r, r->line, line, wrong);
			skip_block(r);
			return false;
		}
	}
	complain_at(r, r->line, name, "has no end: } is meant: the rule is ignored");
	return false;
}

static void read_block(struct reader *r)
{
	const uint32_t first = r->line;
	struct piece name = { "{", 1 }, kind = { "", 0 }, body = { NULL, 0 };
	uint8_t kinds = ALL_KINDS;
	bool other = false;
	if (!next_line(r, &name) || is(name, "}") || !next_line(r, &kind) || is(kind, "}")) {
		complain_at(r, first, name, "is cut short: a name, Memcheck:Leak and frames are meant: ignored");
		return;
	}
	if (!is_leak_kind(kind, &other)) {
		if (!other)
			complain_at(r, r->line, kind, "names no kind of error: Memcheck:Leak is meant: the rule is ignored");
		skip_block(r);
		return;
	}
	if (!read_body(r, name, &kinds, &body))
		return;
	struct suppress_rule *rule = add(r, first, name);
	if (!rule)
		return;
	rule->form = FORM_VALGRIND;
	rule->kinds = kinds;
	rule->body = (uint32_t)(body.at - r->s->text);
	rule->body_size = (uint32_t)body.size;
}

int suppress_parse(struct suppress *s, const char *file, const char *text, size_t size, void (*complain)(const char *line))
{
	struct reader r = { .s = s, .file = file, .at = text, .end = text + size, .complain = complain };
	struct piece line, pattern;
	if (size > TEXT_MOST) {
		complain_at(&r, 0, (struct piece){ "", 0 }, "is larger than a gigabyte: ignored");
		return r.bad;
	}
	while (!r.full && next_line(&r, &line)) {
		if (is(line, "{"))
			read_block(&r);
		else if (begins(line, "leak:", &pattern))
			read_pattern(&r, line, pattern, FORM_LEAK);
		else if (begins(line, "only:", &pattern))
			read_pattern(&r, line, pattern, FORM_ONLY);
		else
			complain_at(&r, r.line, line, "is no rule: leak:PATTERN, only:PATTERN or { of valgrind's is meant: ignored");
	}
	return r.bad;
}

/* ---- matching ---- */

static bool any_frame(struct piece p, const struct suppress_frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (suppress_pattern(p.at, p.size, frames[i].function) || suppress_pattern(p.at, p.size, frames[i].module)
		    || suppress_pattern(p.at, p.size, frames[i].file))
			return true;
	return false;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool frame_matches(struct piece line, const struct suppress_frame *f)
{
	struct piece rest;
	if (begins(line, "fun:", &rest))
		return matches_whole(rest, f->function);
	if (begins(line, "obj:", &rest))
		return matches_whole(rest, f->module);
	return begins(line, "src:", &rest) && (matches_whole(rest, f->file) || matches_whole(rest, last_part(f->file)));
}

/* Does this line stand for the frame of malloc and its kin, which our stacks leave out? */
static bool is_allocator(struct piece line)
{
	static const char *const names[] = { "malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
		"pvalloc", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
		"operator new(unsigned long)", "operator new[](unsigned long)" };
	struct piece rest;
	if (begins(line, "obj:", &rest))
		return matches_whole(rest, "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so");
	for (size_t i = 0; begins(line, "fun:", &rest) && i < NELEM(names); i++)
		if (matches_whole(rest, names[i]))
			return true;
	return false;
}

/* The lines of r against the frames, behind `hidden` frames that are the allocator's; "..." works as a star does above. */
static bool frames_match(struct reader r, const struct suppress_frame *frames, size_t count, size_t hidden)
{
	struct reader star = { .at = NULL };
	size_t at = 0, from = 0;
	struct piece line, kinds;
	while (next_line(&r, &line)) {
		if (begins(line, "match-leak-kinds:", &kinds))
			continue;
		if (is(line, "...")) {
			star = r;
			from = at;
		} else if (at < hidden + count && (at < hidden ? is_allocator(line) : frame_matches(line, &frames[at - hidden]))) {
			at++;
		} else if (star.at && from < hidden + count) {
			r = star;
			at = ++from;
		} else {
			return false;
		}
	}
	return true;
}

static bool body_matches(struct piece body, const struct suppress_frame *frames, size_t count)
{
	const struct reader r = { .at = body.at, .end = body.at + body.size };
	return frames_match(r, frames, count, 0) || frames_match(r, frames, count, 1);
}

bool suppress_by_function(const struct suppress *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct reader r = { .at = s->text + s->rules[i].body, .end = s->text + s->rules[i].body + s->rules[i].body_size };
		struct piece line, rest;
		if (s->rules[i].form != FORM_VALGRIND)
			return true;
		while (next_line(&r, &line))
			if (!begins(line, "obj:", &rest) && !is(line, "..."))
				return true;
	}
	return false;
}

const struct suppress_rule *suppress_match(const struct suppress *s, const struct suppress_frame *frames, size_t count, unsigned kind)
{
	const struct suppress_rule *only = NULL;
	bool wanted = false;
	for (size_t i = 0; i < s->count; i++) {
		const struct suppress_rule *rule = &s->rules[i];
		struct piece body = { s->text + rule->body, rule->body_size };
		if (!(rule->kinds >> kind & 1))
			continue;
		if (rule->form == FORM_LEAK ? any_frame(body, frames, count)
		    : rule->form == FORM_VALGRIND && body_matches(body, frames, count))
			return rule;
		if (rule->form == FORM_ONLY) {
			only = only ? only : rule;
			wanted = wanted || any_frame(body, frames, count);
		}
	}
	return wanted ? NULL : only;
}
