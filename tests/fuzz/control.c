/*
 * Requests that come over the socket (src/control/protocol.c): any bytes. A second reader takes words off the front of the text, and must
 * come to the same end.
 */
#include "control/parts.h"
#include "fuzz.h"

#include <ctype.h>

/* Takes `word` off the front; a blank or the end must follow it, and goes too. */
static bool off(const char **s, size_t *n, const char *word)
{
	size_t size = strlen(word);
	if (*n < size || memcmp(*s, word, size) != 0 || (*n > size && (*s)[size] != ' '))
		return false;
	size += *n > size;
	*s += size;
	*n -= size;
	return true;
}

static struct request expect(const char *s, size_t n)
{
	struct request r = { .kind = REQUEST_WRONG }, wrong = r;
	if (off(&s, &n, "hello")) {
		r.kind = REQUEST_HELLO;
	} else if (off(&s, &n, "snapshot")) {
		r.kind = REQUEST_SNAPSHOT;
		for (bool more = true; more;) {
			bool blocks = off(&s, &n, "blocks"), reachable = !blocks && off(&s, &n, "reachable");
			r.blocks |= blocks;
			r.reachable |= reachable;
			more = blocks || reachable;
		}
	} else if (off(&s, &n, "why") && n > 2 && s[0] == '0' && tolower(s[1]) == 'x') {
		char digits[17] = "";
		size_t i = 0;
		for (s += 2, n -= 2; i < 16 && i < n && isxdigit((unsigned char)s[i]); i++)
			digits[i] = s[i];
		r.kind = i ? REQUEST_WHY : REQUEST_WRONG;
		r.address = strtoull(digits, NULL, 16);
		s += i;
		n -= i;
		if (n && *s == ' ')
			n--;
	}
	return n ? wrong : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *line = malloc(n ? n : 1); /* of just this size: one byte more is an error */
	if (!line)
		abort();
	memcpy(line, bytes, n);
	struct request got, want = expect(line, n);
	request_read(line, n, &got);
	claim(got.kind == want.kind, "kind %d, expected %d", got.kind, want.kind);
	claim((got.kind == REQUEST_WRONG) == (got.wrong != NULL), "a reason is there when it is wrong");
	claim(got.kind != REQUEST_SNAPSHOT || (got.blocks == want.blocks && got.reachable == want.reachable), "words differ");
	claim(got.kind != REQUEST_WHY || got.address == want.address, "%lx, expected %lx", got.address, want.address);
	free(line);
	return 0;
}
