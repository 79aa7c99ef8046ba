/*
 * Formatting and printing for places where printf can't go: inside malloc, in signal handlers, while other threads are
 * stopped. The formatter writes into the caller's buffer only; a line leaves the process in a single write, so that lines
 * of several threads and processes never mix.
 *
 * Where a line goes: log_path when it is set, else descriptor 2. The log is opened anew for each line and closed again:
 * a descriptor that we kept could be closed, or its number reused, by the program (daemons close all they find), and the
 * line would land in the program's own data. A descriptor 2 that the program has closed makes the write fail; nothing
 * else happens. The one risk left is a program that closes 2 and gets the number back for a file of its own: every
 * library that writes to stderr has it, and log_path avoids it.
 */
#include "base/text.h"
#include "base/console.h"
#include "base/options.h"
#include "base/printable.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024, DIGITS_MAX = 24 };

/* The buffer being filled: `len` counts what was written, the NUL is added at the end. */
struct sink {
	char *buf;
	size_t cap, len;
	bool shown; /* to people: texts and characters that are put in are made printable, the format is ours */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->cap)
		s->buf[s->len++] = c;
}

/* One text as it goes into a line. Characters are whole in it, so a name that was cut ends in '?'. */
static void put_shown(struct sink *s, const char *text, size_t n)
{
	while (n) {
		size_t whole = printable_length((const unsigned char *)text, n);
		if (!whole)
			put(s, '?');
		for (size_t i = 0; i < whole; i++)
			put(s, text[i]);
		whole += !whole;
		text += whole;
		n -= whole;
	}
}

/* One conversion as written in the format. precision SIZE_MAX: none given. */
struct conversion {
	bool left, zeros;
	size_t width, precision;
	unsigned longs; /* 0 int, 1 long, 2 long long; size_t is long on every system we know */
};

static void put_padded(struct sink *s, const struct conversion *c, const char *text, size_t n)
{
	size_t pad = c->width > n ? c->width - n : 0;
	/* A sign or 0x stands before the zeros. */
	if (c->zeros && !c->left && n && text[0] == '-') {
		put(s, '-');
		text++;
		n--;
	}
	for (size_t i = 0; !c->left && i < pad; i++)
		put(s, c->zeros ? '0' : ' ');
	if (s->shown)
		put_shown(s, text, n);
	for (size_t i = 0; !s->shown && i < n; i++)
		put(s, text[i]);
	for (size_t i = 0; c->left && i < pad; i++)
		put(s, ' ');
}

static void put_number(struct sink *s, const struct conversion *c, uint64_t value, unsigned base, const char *prefix)
{
	char digits[DIGITS_MAX];
	size_t at = sizeof(digits);
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (size_t n = strlen(prefix); n;)
		digits[--at] = prefix[--n];
	put_padded(s, c, digits + at, sizeof(digits) - at);
}

/* Reads flags, width, precision and length; returns the conversion's letter. */
static const char *read_conversion(const char *f, struct conversion *c, va_list *ap)
{
	*c = (struct conversion){ .precision = SIZE_MAX };
	for (;; f++) {
		if (*f == '-')
			c->left = true;
		else if (*f == '0')
			c->zeros = true;
		else
			break;
	}
	if (*f == '*') {
		int w = va_arg(*ap, int);
		c->left |= w < 0;
		c->width = w < 0 ? 0 - (size_t)w : (size_t)w;
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		c->width = c->width * 10 + (size_t)(*f - '0');
	if (*f == '.') {
		f++;
		c->precision = 0;
		if (*f == '*') {
			int p = va_arg(*ap, int);
			c->precision = p < 0 ? SIZE_MAX : (size_t)p;
			f++;
		}
		for (; *f >= '0' && *f <= '9'; f++)
			c->precision = c->precision * 10 + (size_t)(*f - '0');
	}
	for (; *f == 'l' || *f == 'z'; f++)
		c->longs++;
	return f;
}

static void put_string(struct sink *s, const struct conversion *c, const char *text)
{
	if (!text)
		text = "(null)";
	size_t n = 0;
	while (n < c->precision && text[n])
		n++;
	struct conversion plain = *c;
	plain.zeros = false;
	put_padded(s, &plain, text, n);
}

static size_t fill(struct sink s, const char *fmt, va_list args)
{
	va_list ap; /* a va_list parameter decays to a pointer on some ABIs: only a copy can be passed on by address */
	va_copy(ap, args);
	for (const char *f = fmt; *f; f++) {
		if (*f != '%') {
			put(&s, *f);
			continue;
		}
		struct conversion c;
		f = read_conversion(f + 1, &c, &ap);
		char one;
		switch (*f) {
		case 's':
			put_string(&s, &c, va_arg(ap, const char *));
			break;
		case 'c':
			one = (char)va_arg(ap, int);
			put_padded(&s, &c, &one, 1);
			break;
		case 'd': {
			int64_t v = c.longs ? va_arg(ap, long) : va_arg(ap, int);
			put_number(&s, &c, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "");
			break;
		}
		case 'u':
		case 'x': {
			uint64_t v = c.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
			put_number(&s, &c, v, *f == 'u' ? 10 : 16, "");
			break;
		}
		case 'p':
			put_number(&s, &c, (uintptr_t)va_arg(ap, void *), 16, "0x");
			break;
		case '%':
			put(&s, '%');
			break;
		default: /* a format of ours that this file doesn't know: show it, so that a test sees it */
			put(&s, '%');
			if (*f)
				put(&s, *f);
			else
				f--;
		}
	}
	va_end(ap);
	if (s.cap)
		s.buf[s.len] = 0;
	return s.len;
}

size_t text_vformat(char *buf, size_t cap, const char *fmt, va_list ap) { return fill((struct sink){ buf, cap, 0, false }, fmt, ap); }

size_t text_format(char *buf, size_t cap, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	size_t n = text_vformat(buf, cap, fmt, ap);
	va_end(ap);
	return n;
}

/* Evaluated at each use, so that a forked child writes its own file. */
void text_path(char *out, size_t cap, const char *path)
{
	struct sink s = { out, cap, 0, false };
	struct conversion plain = { .precision = SIZE_MAX };
	for (; *path; path++) {
		if (path[0] == '%' && path[1] == 'p') {
			put_number(&s, &plain, (uint64_t)os_pid(), 10, "");
			path++;
		} else {
			put(&s, *path);
		}
	}
	out[s.len] = 0;
}

/*
 * The name may lie in /tmp, where other users make files too. NOFOLLOW: a link could lead to a file of ours. NONBLOCK: a fifo
 * without a reader must not hang the program; NOCTTY: a terminal must not become ours. What was opened is looked at before
 * anything is written: another user's file, socket or fifo would show him our addresses, a second name of a file of ours
 * would let him spoil that file. -1: not to be used.
 */
static int open_log(void)
{
	static uint32_t told;
	char path[sizeof(options.log_path) + 64], line[sizeof(path) + 128];
	text_path(path, sizeof(path), options.log_path);
	int fd = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd >= 0 && os_is_safe_log(fd))
		return fd;
	const char *why = fd >= 0 || fd == -ELOOP || fd == -ENXIO ? "is a link, a pipe or another user's file" : "could not be opened";
	if (fd >= 0)
		os_close(fd);
	if (!__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED)) {
		make_printable(path);
		size_t n = text_format(line, sizeof(line), "cgc: log_path: %s %s: lines go to stderr: name a file of your own\n", path, why);
		console_write(line, n);
	}
	return -1;
}

static void emit(const char *line, size_t n)
{
	int fd = options.log_path[0] ? open_log() : -1;
	if (fd < 0) {
		console_write(line, n);
		return;
	}
	os_write_quietly(fd, line, n);
	os_close(fd);
}

void say(const char *fmt, ...)
{
	static const char prefix[] = "cgc: ";
	char line[LINE_MAX_BYTES];
	memcpy(line, prefix, sizeof(prefix) - 1);
	size_t n = sizeof(prefix) - 1;
	va_list ap;
	va_start(ap, fmt);
	n += fill((struct sink){ line + n, sizeof(line) - n, 0, true }, fmt, ap); /* leaves one byte, its NUL, for the newline */
	va_end(ap);
	line[n++] = '\n';
	emit(line, n);
}

void say_raw(const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	size_t n = fill((struct sink){ line, sizeof(line), 0, true }, fmt, ap);
	va_end(ap);
	emit(line, n);
}

void die(const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	text_vformat(line, sizeof(line), fmt, ap);
	va_end(ap);
	say("%s", line);
	os_abort();
}
