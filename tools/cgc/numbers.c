/* Numbers as text. Units are of 1,024. */
#include "numbers.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_ROOM = 48 };

static char *next_text(void)
{
	static char ring[16][TEXT_ROOM];
	static unsigned next;
	return ring[next++ % NELEM(ring)];
}

static void write_number(char *to, uint64_t n)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
}

const char *number_text(uint64_t n)
{
	char *text = next_text();
	write_number(text, n);
	return text;
}

static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

/* 1,023.97 KiB would be printed as 1024.0 KiB: the next unit begins where rounding would reach it. */
static double scaled(double n, size_t *unit)
{
	for (*unit = 0; n >= 1023.95 && *unit + 1 < NELEM(units); ++*unit)
		n /= 1024;
	return n;
}

static void write_bytes(char *text, const char *sign, uint64_t n)
{
	size_t unit;
	double size = scaled((double)n, &unit);
	if (n < 1024)
		snprintf(text, TEXT_ROOM, "%s%u B", sign, (unsigned)n);
	else
		snprintf(text, TEXT_ROOM, "%s%.1f %s", sign, size, units[unit]);
}

const char *bytes_text(uint64_t n)
{
	char *text = next_text();
	write_bytes(text, "", n);
	return text;
}

const char *change_text(int64_t bytes)
{
	char *text = next_text();
	write_bytes(text, bytes < 0 ? "-" : "+", bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes);
	return text;
}

const char *rate_text(double rate)
{
	char *text = next_text();
	size_t unit;
	bool slow = rate < 1 && rate > -1;
	double size = scaled((rate < 0 ? -rate : rate) * (slow ? 3600 : 1), &unit);
	snprintf(text, TEXT_ROOM, "%s%.*f %s/%s", rate < 0 ? "-" : "+", unit && size < 10 ? 1 : 0, size, units[unit], slow ? "h" : "s");
	return text;
}

const char *blocks_text(uint64_t n)
{
	char *text = next_text();
	char number[32];
	write_number(number, n);
	snprintf(text, TEXT_ROOM, "%s block%s", number, n == 1 ? "" : "s");
	return text;
}

const char *age_text(uint64_t ns)
{
	char *text = next_text();
	uint64_t s = ns / 1000000000u;
	if (s < 120)
		snprintf(text, TEXT_ROOM, "%" PRIu64 " s", s);
	else if (s < 7200)
		snprintf(text, TEXT_ROOM, "%" PRIu64 " min", s / 60);
	else
		snprintf(text, TEXT_ROOM, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	return text;
}
