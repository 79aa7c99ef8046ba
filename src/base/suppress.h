/*
 * Suppressions: which leaks a report leaves out. Pure text matching, shared by the library and the command: no allocation, no libc state.
 *
 * Read from LeakSanitizer's format (`leak:PATTERN` lines, * ^ $ as there, # comments), valgrind's ({ name Memcheck:Leak match-leak-kinds: ...
 * obj: fun: ... }), and our own `only:PATTERN` (sites that do not match any `only:` are left out).
 */
#ifndef CGC_BASE_SUPPRESS_H
#define CGC_BASE_SUPPRESS_H

#include "base/bits.h"

struct suppress_frame {
	const char *function;  /* demangled or not, as the caller knows it; "" unknown */
	const char *file;      /* source file; "" unknown */
	const char *module;    /* path; "" unknown */
};

/* The rules of one text, kept as offsets into it: `text` must stay mapped and unchanged. Room is the caller's. */
struct suppress_rule {
	uint32_t name, name_size;    /* what counts are told for: the pattern, or valgrind's name */
	uint32_t body, body_size;
	uint32_t line;               /* of the rule in its file */
	uint8_t form;                /* 0 leak:, 1 valgrind, 2 only: */
	uint8_t kinds;               /* valgrind's match-leak-kinds: bit 0 definite, 1 indirect, 2 possible, 3 reachable */
	uint64_t blocks, bytes;      /* atomic: what it left out, counted by the caller */
};
struct suppress {
	const char *text;
	size_t size;
	struct suppress_rule *rules;
	size_t count, room;
};

/* Appends the rules of text to s->rules. Each bad line calls `complain` with one finished line (no "cgc: ", no newline) that names
 * `file` and the line's number, and is skipped. Result: bad lines. A full array counts as one. */
int suppress_parse(struct suppress *s, const char *file, const char *text, size_t size, void (*complain)(const char *line));
/* The first rule that matches a stack (innermost frame first) of a leak of this kind (enum snapshot_kind); NULL: none. */
const struct suppress_rule *suppress_match(const struct suppress *s, const struct suppress_frame *frames, size_t count, unsigned kind);
/* Does some rule ask for more of a frame than its module? */
bool suppress_by_function(const struct suppress *s);
/* LeakSanitizer's pattern matching: * any run, ^ at the start, $ at the end, else found anywhere. */
bool suppress_pattern(const char *pattern, size_t size, const char *text);

#endif
