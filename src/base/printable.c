/*
 * What a terminal acts upon: the bytes below 0x20 and 0x7f; 0x80 to 0x9f, which are control characters of one byte to a terminal without
 * UTF-8, and of two bytes (0xc2 before them) to one with it; and the characters that change the direction of text (U+200E, U+200F,
 * U+202A to U+202E, U+2066 to U+2069), by which a name is read as another, with the line and paragraph separators between them.
 */
#include "base/printable.h"

#include <string.h>

size_t utf8_length(const unsigned char *s, size_t room)
{
	size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
	if (n > room)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long a form of a shorter one, surrogates, beyond the last character. */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static bool turns_text(const unsigned char *s)
{
	if (s[0] != 0xe2)
		return false;
	if (s[1] == 0x80)
		return s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae);
	return s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
}

size_t printable_length(const unsigned char *s, size_t room)
{
	const size_t n = utf8_length(s, room);
	if (*s < ' ' || *s == 0x7f)
		return 0;
	if ((n == 2 && s[0] == 0xc2 && s[1] < 0xa0) || (n == 3 && turns_text(s)))
		return 0;
	return n;
}

void make_printable(char *text)
{
	for (size_t room = strlen(text); room;) {
		size_t n = printable_length((const unsigned char *)text, room);
		if (!n) {
			*text = '?';
			n = 1;
		}
		text += n;
		room -= n;
	}
}
