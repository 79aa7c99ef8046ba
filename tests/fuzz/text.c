/*
 * The formatter against the C library's: a format is built from the input, of all that text.h promises and with arguments that fit,
 * and both must write the same, at every buffer size.
 */
#include "base/text.h"
#include "fuzz.h"

enum { PARTS = 5, WIDTH = 70, CAP = 300 };

/* One conversion with one argument. */
struct part {
	char format[48];
	enum { INT, LONG, STRING, POINTER, STAR_INT, STAR_STRING } kind;
	int width;
	uint64_t value;
	char text[24];
};

static char *put_width(struct input *in, char *at)
{
	uint8_t flags = take_byte(in);
	if (flags & 1)
		*at++ = flags & 2 ? '-' : '0';
	if (flags & 4)
		at += sprintf(at, "%u", 1 + take_byte(in) % WIDTH);
	return at;
}

static void build(struct input *in, struct part *p)
{
	static const char literals[] = "abc %%x\n";
	char *at = p->format;
	uint8_t kind = take_byte(in) % 8;
	for (unsigned i = take_byte(in) % 4; i; i--) {
		char c = literals[take_byte(in) % (sizeof literals - 1)];
		*at++ = c;
		if (c == '%')
			*at++ = c;
	}
	*at++ = '%';
	p->kind = INT;
	p->width = (int)(take_byte(in) % (2 * WIDTH)) - WIDTH;
	for (unsigned i = 0; i < 8; i++)
		p->value = p->value << 8 | take_byte(in);
	switch (kind) {
	case 0: case 1: case 2: { /* numbers */
		static const char *const letters[] = { "d", "u", "x", "ld", "lu", "lx", "zu", "lld", "llx" };
		const char *letter = letters[take_byte(in) % NELEM(letters)];
		at = put_width(in, at);
		p->kind = strlen(letter) > 1 ? LONG : INT;
		strcpy(at, letter);
		break;
	}
	case 3: /* a width from the arguments */
		p->kind = STAR_INT;
		strcpy(at, "*d");
		break;
	case 4:
		p->kind = INT;
		p->value = 1 + p->value % 127;
		if (take_byte(in) & 1)
			at += sprintf(at, "%u", 1 + take_byte(in) % WIDTH);
		strcpy(at, "c");
		break;
	case 5:
		p->kind = POINTER;
		p->value |= 1; /* glibc calls NULL "(nil)" */
		strcpy(at, "p");
		break;
	default: /* strings, cut by a precision now and then */
		if (take_byte(in) & 1)
			*at++ = '-';
		at += sprintf(at, "%u", 1 + take_byte(in) % WIDTH);
		for (unsigned i = 0; i + 1 < sizeof p->text; i++)
			p->text[i] = (char)take_byte(in);
		p->kind = kind == 6 ? STRING : STAR_STRING;
		strcpy(at, kind == 6 ? take_byte(in) & 1 ? ".7s" : "s" : ".*s");
	}
}

#pragma clang diagnostic ignored "-Wformat-nonliteral"
#define BOTH(...)                                                                                                     \
	(want = snprintf(theirs, sizeof theirs, p->format, __VA_ARGS__), got = text_format(ours, cap, p->format, __VA_ARGS__))

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = { bytes, bytes + n };
	for (int part = 0; part < PARTS && input_left(&in); part++) {
		struct part whole = { 0 }, *p = &whole;
		char theirs[CAP];
		size_t cap = take_byte(&in), got = 0;
		int want = 0;
		build(&in, p);
		char *ours = malloc(cap ? cap : 1);
		if (!ours)
			abort();
		switch (p->kind) {
		case INT: BOTH((int)p->value); break;
		case LONG: BOTH((unsigned long)p->value); break;
		case STRING: BOTH(p->text); break;
		case POINTER: BOTH((void *)p->value); break;
		case STAR_INT: BOTH(p->width, (int)p->value); break;
		case STAR_STRING: BOTH(p->width, p->text); break;
		}
		claim(want >= 0 && want < CAP, "the test's own buffer is too small: %d", want);
		size_t shown = cap == 0 ? 0 : (size_t)want < cap ? (size_t)want : cap - 1;
		claim(got == shown, "%zu bytes of format \"%s\", expected %zu", got, p->format, shown);
		claim(cap == 0 || (!memcmp(ours, theirs, shown) && !ours[shown]), "format \"%s\" gives \"%s\", not \"%s\"", p->format, ours, theirs);
		free(ours);
	}
	return 0;
}
